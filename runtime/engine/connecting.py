"""Puts a container into a network and takes it out again, also while it runs.

The index is changed in one transaction around the change in the kernel: a command that is killed in between leaves
the index as it was, and a link that the next attempt replaces.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.engine import addresses
from runtime.engine.republishing import Republishing
from runtime.errors import ConflictError, NotFoundError, StateError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.network import etc_files
from runtime.network.dns.entries import remove_entry, write_entry
from runtime.network.endpoint import HostNetwork
from runtime.network.record import Endpoint
from runtime.oci import container_spec
from runtime.oci.container_spec import ContainerSpec, NetworkAttachment, all_links
from runtime.shim import line

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine


def connect(engine: "Engine", container: "Container", attachment: NetworkAttachment) -> None:
    """Put a container into one more network, at once if it runs. Raises ConflictError, NotFoundError, StateError."""
    spec = _connectable(container)
    spec = spec._replace(networks=(*spec.networks, attachment))
    with engine.database.transaction():
        rows = engine.database.rows(
            "SELECT max(position) AS last FROM endpoints WHERE container_id = ?", container.id
        )
        last = rows[0]["last"]
        addresses.insert(engine, container.id, attachment, 0 if last is None else last + 1)
        _save(engine, container, spec)
        endpoints = addresses.endpoints(engine, container.id, spec)
        new = next(item for item in endpoints if item.network_name == attachment.network)
        others = [item for item in endpoints if item is not new]
        ports = Republishing(engine, container, others, endpoints)
        if container.is_live:
            _in_namespace(engine, container, lambda host: host.connect(new, others))
            lock = f"{engine.paths.live(container.id)}/lock"
            write_entry(engine.paths.zone(new.network_id), container.id, new.zone_entry(container.name, lock))
            name = spec.hostname or container.id[:12]
            more = etc_files.own_lines(name, spec.domainname, _addresses(new))
            _edit_hosts(engine, container, lambda text: text + more)
    ports.carry_out(all_links(spec))


def disconnect(engine: "Engine", container: "Container", network: str) -> None:
    """Take a container out of a network, at once if it runs. Raises NotFoundError, StateError."""
    spec = _connectable(container)
    with engine.database.transaction():
        endpoints = addresses.endpoints(engine, container.id, spec)
        gone = next((item for item in endpoints if item.network_name == network), None)
        if gone is None:
            raise NotFoundError(f"container {container.name} is not in network {network}")
        others = [item for item in endpoints if item is not gone]
        engine.database.execute(
            "DELETE FROM endpoints WHERE container_id = ? AND network_id = ?", container.id, gone.network_id
        )
        spec = spec._replace(networks=tuple(item for item in spec.networks if item.network != network))
        _save(engine, container, spec)
        ports = Republishing(engine, container, endpoints, others)
        if container.is_live:
            remove_entry(engine.paths.zone(gone.network_id), container.id)
            _in_namespace(engine, container, lambda host: host.disconnect(gone, others))
            _edit_hosts(engine, container, lambda text: etc_files.without_addresses(text, _addresses(gone)))
    ports.carry_out(all_links(spec))


def _connectable(container: "Container") -> ContainerSpec:
    spec = container.spec
    if not spec.network_mode:
        return spec
    raise ConflictError(
        f"container {container.name} has network_mode {spec.network_mode} and can't be in networks of its own"
    )


def _save(engine: "Engine", container: "Container", spec: ContainerSpec) -> None:
    text = json.dumps(container_spec.to_json(spec))
    engine.database.execute("UPDATE containers SET spec = ? WHERE id = ?", text, container.id)


def _addresses(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(item.address for item in endpoint.addresses)


def _edit_hosts(engine: "Engine", container: "Container", edit: Callable[[str], str]) -> None:
    """Change a running container's hosts file in place: it is mounted, so that a new file would not be seen."""
    try:
        with open(f"{engine.paths.live(container.id)}/etc/hosts", "r+", errors="surrogateescape") as file:
            text = edit(file.read())
            file.seek(0)
            file.write(text)
            file.truncate()
    except FileNotFoundError:
        # The container has ended at this moment.
        pass


def _in_namespace(engine: "Engine", container: "Container", act: Callable[[HostNetwork], None]) -> None:
    """Run `act` in a child that is in the container's network namespace. Raises what it raises, StateError."""
    if container.live is None:
        raise StateError(f"container {container.name} does not run")
    namespace = os.open(f"/proc/{container.live.shim_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        try:
            host = HostNetwork(engine.paths.nft_table)
            syscalls.setns(namespace, k.CLONE_NEWNET)
            act(host)
            line.send(far, "done")
        except BaseException as error:
            line.send(far, "error", line.describe(error))
        finally:
            os._exit(0)
    os.close(namespace)
    far.close()
    try:
        kind, value, _ = line.receive(near)
    finally:
        near.close()
        with contextlib.suppress(ChildProcessError):  # where the kernel reaps
            os.waitpid(child, 0)
    if kind == "error":
        raise line.recall(value)
