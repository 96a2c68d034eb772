"""The actions that are done at once: what makes and removes objects, and what only sends a signal."""

from collections.abc import Mapping
from typing import Any

from composer.errors import ExecutionError
from composer.plan.action import Action, Kind
from composer.plan.desired import FILE, Content, Desired
from runtime import Engine, NetworkRequest, Pool, from_json


class Effects:
    """Does them on an engine. `ids`: container name -> id, to which CREATE adds."""

    def __init__(self, engine: Engine, desired: Desired) -> None:
        self._engine = engine
        self._project = desired.project
        self._networks = {network.name: network for network in desired.networks}
        self._volumes = {volume.name: volume for volume in desired.volumes}
        self._contents = desired.contents

    def do(self, action: Action, ids: dict[str, str]) -> None:
        """Carry out one action. Raises EngineError, OSError."""
        containers = self._engine.containers
        if action.kind is Kind.CREATE_NETWORK:
            self._create_network(action.name)
        elif action.kind is Kind.REMOVE_NETWORK:
            self._engine.networks.remove(action.name, detach=action.detach)
        elif action.kind is Kind.CREATE_VOLUME:
            volume = self._volumes[action.name]
            self._engine.volumes.create(
                action.name,
                project=self._project,
                config_hash=volume.config_hash,
                labels=volume.labels,
                options=volume.driver_opts,
            )
        elif action.kind is Kind.REMOVE_VOLUME:
            self._engine.volumes.remove(action.name)
        elif action.kind is Kind.CREATE:
            ids[action.name] = containers.create(
                from_json(self._sharing(action, ids)),
                fields=action.fields,
                replaces=action.replaces,
                keep_volumes=not action.anonymous_volumes,
                contents={
                    grant["content"]: self._read(grant["content"]) for grant in action.spec.get("files", ())
                },
            )
        elif action.kind is Kind.REMOVE:
            containers.remove(action.container_id or ids[action.name], volumes=action.anonymous_volumes)
        elif action.kind is Kind.REMOVE_IMAGE:
            self._engine.images.remove(action.name)
        elif action.kind in (Kind.PAUSE, Kind.UNPAUSE):
            containers.pause(containers.get(action.container_id), paused=action.kind is Kind.PAUSE)
        elif action.kind is Kind.KILL:
            containers.signal(containers.get(action.container_id), action.number)

    def _read(self, name: str) -> bytes:
        content = self._contents.get(name)
        if content is None:
            # A rollback wants what the file has no more.
            raise ExecutionError(
                f"{name} is not in the file any more", hint="bring it back, then run `up` again"
            )
        return _read_content(content)

    def _sharing(self, action: Action, ids: Mapping[str, str]) -> Mapping[str, Any]:
        """The spec of a CREATE, with the anonymous volumes of the container it shares."""
        if not action.shares:
            return action.spec
        anonymous = self._engine.containers.anonymous_volumes(ids[action.shares])
        others = [mount for mount in action.spec.get("mounts", ()) if mount["target"] not in anonymous]
        volumes = [{"type": "volume", "target": at, "source": name} for at, name in anonymous.items()]
        return {**action.spec, "mounts": [*others, *volumes]}

    def _create_network(self, name: str) -> None:
        network = self._networks[name]
        aux: dict[str, str] = {}
        for pool in network.subnets:
            aux.update(pool.get("aux_addresses", {}))
        self._engine.networks.create(
            NetworkRequest(
                name,
                project=self._project,
                config_hash=network.config_hash,
                driver=network.driver,
                internal=network.internal,
                ipv4=network.enable_ipv4,
                ipv6=network.enable_ipv6,
                pools=tuple(
                    Pool(pool.get("subnet", ""), pool.get("gateway", ""), pool.get("ip_range", ""))
                    for pool in network.subnets
                ),
                aux=aux,
                ipam_options=network.ipam_options,
                options=network.driver_opts,
                labels=network.labels,
            )
        )


def _read_content(content: Content) -> bytes:
    """The bytes of a secret or config. Raises OSError."""
    if content.kind != FILE:
        return content.value.encode(errors="surrogateescape")
    with open(content.value, "rb") as file:
        return file.read()
