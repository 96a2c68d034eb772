"""Starts containers: gathers all that a shim has to know, and makes it."""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runtime.engine import addresses
from runtime.engine.creating import ensure_folder
from runtime.errors import EngineError, NotFoundError, StateError
from runtime.image.record import image_from_json
from runtime.image.store import ResolvedImage
from runtime.network.record import Endpoint
from runtime.oci import container_spec
from runtime.oci.container_spec import ContainerSpec, MountRequest
from runtime.shim.launch import Launch, launch_all
from runtime.shim.stdio import Streams
from runtime.shim.task import ShimTask

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


def begin_starts(
    engine: "Engine", container_ids: Sequence[str], clients: Mapping[str, Streams] | None = None
) -> list[Launch | EngineError]:
    """See `Containers.begin_starts`."""
    prepared: list[ShimTask | EngineError] = []
    for container_id in container_ids:
        try:
            prepared.append(_prepare(engine, container_id))
        except EngineError as error:
            prepared.append(error)
    tasks = [item for item in prepared if isinstance(item, ShimTask)]
    launches = iter(launch_all(tasks, engine.lock_fileno(), clients))
    return [next(launches) if isinstance(item, ShimTask) else item for item in prepared]


def _prepare(engine: "Engine", container_id: str) -> ShimTask:
    row = engine.database.row("SELECT * FROM containers WHERE id = ?", container_id)
    if row is None:
        raise NotFoundError(
            f"container {container_id[:12]} was removed by another command", hint="run the command again"
        )
    engine.containers.repair(container_id)
    task = _task(engine, row)
    ensure_folder(engine.paths.container(container_id), container_id, task.spec)
    return task


def _task(engine: "Engine", row: sqlite3.Row) -> ShimTask:
    spec = container_spec.from_json(json.loads(row["spec"]))
    endpoints = addresses.endpoints(engine, row["id"], spec)
    return ShimTask(
        paths=engine.paths,
        container_id=row["id"],
        spec=spec,
        image=stored_image(engine, row),
        mounts=stored_mounts(engine, row["id"], spec),
        endpoints=endpoints,
        host_gateway=_host_gateway(endpoints),
        images=mounted_images(engine, spec),
        joined={
            kind: owner
            for kind, mode in (("ipc", spec.ipc), ("pid", spec.pid))
            if (owner := _owner(engine, spec, kind, mode))
        },
        network_owner=_owner(engine, spec, "network", spec.network_mode),
    )


def _host_gateway(endpoints: Sequence[Endpoint]) -> str:
    """The host's address in a network that leads out, IPv4 if there is one."""
    gateways = [item.gateway for endpoint in endpoints for item in endpoint.addresses if item.gateway]
    return next((gateway for gateway in gateways if "." in gateway), gateways[0] if gateways else "")


def _owner(engine: "Engine", spec: ContainerSpec, kind: str, mode: str) -> str:
    """The id of the running container whose namespace is to be joined, "" = none. Raises StateError, NotFoundError."""
    what, _, name = mode.partition(":")
    if what != "container":
        return ""
    owner = engine.containers.find(name)
    if owner is None:
        raise NotFoundError(
            f"container {spec.name}: there is no container {name}, whose {kind} it is to join"
        )
    if not owner.is_live:
        raise StateError(
            f"container {spec.name} is to join the {kind} of {owner.name}, which does not run",
            hint="start that first",
        )
    if kind == "ipc" and owner.spec.ipc not in ("shareable", "host"):
        raise StateError(
            f"container {spec.name} is to join the ipc of {owner.name}, which does not share it",
            hint=f"give {owner.service or owner.name} ipc: shareable",
        )
    return owner.id


def stored_image(engine: "Engine", row: sqlite3.Row) -> ResolvedImage:
    """The image that a container was made from. Raises EngineError if it is gone."""
    image = image_from_json(json.loads(row["image"]))
    if all(os.path.isdir(layer) for layer in image.layers):
        return image
    # What `host:/` is made of changed since, or somebody cleaned up.
    return engine.images.resolve(image.reference)


def mounted_images(engine: "Engine", spec: ContainerSpec) -> dict[str, ResolvedImage]:
    """The images that a container mounts, by reference."""
    return {
        mount.source: engine.images.resolve(mount.source) for mount in spec.mounts if mount.type == "image"
    }


def stored_mounts(engine: "Engine", container_id: str, spec: ContainerSpec) -> tuple[MountRequest, ...]:
    """The spec's mounts and the image's volumes, each volume with its folder as the source."""
    rows = engine.database.rows("SELECT target, volume FROM mounts WHERE container_id = ?", container_id)
    folders = {row["target"]: engine.volumes.folder(row["volume"]) for row in rows}
    mounts = []
    for mount in spec.mounts:
        source = folders.pop(mount.target, mount.source) if mount.type == "volume" else mount.source
        mounts.append(mount._replace(source=source))
    mounts += [MountRequest("volume", target, source) for target, source in folders.items()]
    return tuple(mounts)
