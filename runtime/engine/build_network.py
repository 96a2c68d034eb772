"""The network of a build's RUN steps: a bridge of the build's own, made for its first step and gone with it.

A build that is killed leaves its network and its cgroups; the next build, or the next command that changes a project,
finds its lock free and removes them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.network import ipam
from runtime.network.record import Address, Endpoint
from runtime.store.locks import FileLock
from runtime.store.paths import BUILD_PREFIX, Paths

if TYPE_CHECKING:
    from runtime.engine.engine import Engine
    from runtime.engine.networks import NetworkRow


class BuildNetwork:
    """Gives one step after the other, or several at once, a place in the network."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._engine: Engine | None = None
        self._lock: FileLock | None = None
        self._row: NetworkRow | None = None
        self._name = ""
        self._given = 0

    def begin(self) -> str:
        """A name that is this build's alone as long as it lives: its network and its cgroups carry it."""
        if not self._name:
            os.makedirs(self._paths.locks, mode=0o700, exist_ok=True)
            _remove_abandoned_of(self._paths)
            name = f"{BUILD_PREFIX}{os.urandom(4).hex()}"
            self._lock = FileLock(f"{self._paths.locks}/{name}.lock")
            self._lock.acquire()
            self._name = name
        return self._name

    def endpoint(self, step: str) -> Endpoint:
        """A place for a step of this id. Raises EngineError where no network can be made."""
        row = self._row or self._make()
        record = row.record
        pool = record.pools[0]
        prefix = ipam.parse_subnet(pool.subnet)
        gateway = ipam.parse_address(pool.gateway)
        self._given += 1
        address = prefix.network + 2 + self._given % 200
        if address == gateway:
            address += 1
        return Endpoint(
            network_id=record.id,
            network_name=record.name,
            bridge=record.bridge,
            host_interface=self._paths.veth(step, 0),
            interface="eth0",
            addresses=(Address(ipam.format_address(address), prefix.length, pool.gateway),),
            mac=ipam.mac_of(address),
            mtu=record.mtu,
        )

    def _make(self) -> "NetworkRow":
        # Most builds change nothing and need no network: what makes one is loaded when it is made.
        from runtime.engine.engine import Engine
        from runtime.network.plan import NetworkRequest

        name = self.begin()
        engine = self._engine = Engine(self._paths.data, self._paths.state)
        engine.networks.create(NetworkRequest(name))
        found = engine.networks.find(name)
        assert found is not None
        self._row = found
        return found

    def close(self) -> None:
        """Take the network away again."""
        try:
            if self._engine is not None and self._row is not None:
                self._engine.networks.remove(self._row.name)
        finally:
            self._row = None
            if self._lock is not None:
                self._lock.release()
            if self._engine is not None:
                self._engine.close()
                self._engine = None


@contextmanager
def build_network(paths: Paths) -> Iterator[BuildNetwork]:
    """For the stages of one build."""
    network = BuildNetwork(paths)
    try:
        yield network
    finally:
        network.close()


def _remove_abandoned_of(paths: Paths) -> None:
    from runtime.engine.engine import Engine

    if _locks(paths):
        with Engine(paths.data, paths.state) as engine:
            remove_abandoned(engine)


def remove_abandoned(engine: "Engine") -> None:
    """Take away what builds that were killed have left: their locks are free."""
    from runtime.cgroups.manager import open_cgroup

    for file in _locks(engine.paths):
        lock = FileLock(f"{engine.paths.locks}/{file}")
        if not lock.acquire(timeout_s=0.0):
            continue
        name = file.removesuffix(".lock")
        try:
            if engine.networks.find(name) is not None:
                engine.networks.remove(name)
            cgroup = open_cgroup(f"{engine.paths.cgroup_parent}/{name}")
            if cgroup.exists():
                cgroup.kill()
                cgroup.delete()
        finally:
            lock.release()


def _locks(paths: Paths) -> list[str]:
    return [file for file in os.listdir(paths.locks) if file.startswith(BUILD_PREFIX)]
