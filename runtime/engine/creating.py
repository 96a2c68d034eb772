"""Makes containers: their rows, addresses, volumes and folders. Nothing of them runs yet."""

import errno
import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from runtime.container.kill import parse_signal
from runtime.engine import addresses
from runtime.engine.containers import ONCE
from runtime.engine.images import identity
from runtime.errors import ConflictError, InvalidError, NotFoundError, StartError
from runtime.image.lookup import MergedTree
from runtime.image.record import image_to_json
from runtime.image.snapshot import plan_snapshot
from runtime.image.store import ResolvedImage
from runtime.oci import container_spec
from runtime.oci.container_spec import ContainerSpec, LogRequest, MountRequest
from runtime.oci.generate import DEFAULT_PATH, check_container, plan_args, plan_environment
from runtime.oci.labels import LABEL_HASH, LABEL_NUMBER, LABEL_PROJECT, LABEL_SERVICE
from runtime.store.events import CREATE, append_event
from runtime.store.files import write_file

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


def check_spec(engine: "Engine", spec: ContainerSpec) -> ResolvedImage:
    """Refuse what can never start, before anything is made; the image otherwise.

    Raises NotFoundError for a missing image, StartError for a missing program, UnsupportedError for a missing
    runtime, InvalidError for no command, a bad signal or an impossible mount.
    """
    image = engine.images.resolve(spec.image)
    _check_program(spec, image)
    if spec.runtime:
        from runtime.shim.external import find_runtime

        find_runtime(spec.runtime)
    if spec.stop_signal:
        parse_signal(spec.stop_signal)
    check_container(spec)
    if spec.devices or spec.device_requests or any(spec.block_limits):
        from runtime.linux.device_grants import load_block_numbers, load_grants

        load_grants(spec)
        load_block_numbers(spec.block_limits)
    for mount in spec.mounts:
        if mount.type == "image":
            engine.images.resolve(mount.source)
    _check_mounts(spec)
    _check_network(spec)
    if spec.storage_bytes:
        from runtime.engine.storage import check_storage_limit

        check_storage_limit(engine.paths)
    if spec.logging != LogRequest():
        from runtime.oci.logging import plan_logging

        plan_logging(spec.logging)
    return image


def _check_program(spec: ContainerSpec, image: ResolvedImage) -> None:
    """Refuse a program that neither the image nor a mount can have. Whether it runs, its start will tell."""
    program = plan_args(spec, image.config)[0]
    covered = [mount.target for mount in spec.mounts] + [grant.target for grant in spec.files]
    covered += image.config.volumes
    tree = MergedTree(plan_snapshot(image, ""), covered)
    directory = spec.working_dir or image.config.working_dir or "/"
    if "/" in program:
        candidates = [os.path.join(directory, program)]
    else:
        variables = plan_environment(spec, image.config, container_id="", home="")
        path = next((item[5:] for item in variables if item.startswith("PATH=")), DEFAULT_PATH)
        candidates = [os.path.join(directory, folder, program) for folder in path.split(":")]
    if not any(tree.may_hold(candidate) for candidate in candidates):
        raise StartError(
            f"container {spec.name}: cannot run {program!r}: command not found in image {spec.image}",
            step="exec",
            errno=errno.ENOENT,
            hint="check `command`, `entrypoint` and the image; a program without / is looked up in PATH",
        )


def _check_network(spec: ContainerSpec) -> None:
    if not spec.network_mode.startswith("container:"):
        return
    for given, what in (
        (spec.ports, "ports"),
        (spec.hostname, "a hostname"),
        (spec.extra_hosts, "extra_hosts"),
    ):
        if given:
            raise InvalidError(
                f"container {spec.name} is in the network of another one and can't have {what} of its own",
                hint="give them to the container whose network it is",
            )


def _check_mounts(spec: ContainerSpec) -> None:
    seen = {grant.target for grant in spec.files}
    if len(seen) < len(spec.files):
        raise InvalidError(f"container {spec.name}: two secrets or configs with the same target")
    for mount in spec.mounts:
        if not mount.target.startswith("/"):
            raise InvalidError(f"container {spec.name}: mount target {mount.target!r} is not absolute")
        if mount.target in seen:
            raise InvalidError(f"container {spec.name}: two mounts at {mount.target}")
        seen.add(mount.target)
        if mount.type == "bind" and not mount.create_host_path and not os.path.exists(mount.source):
            raise InvalidError(
                f"container {spec.name}: bind source path does not exist: {mount.source}",
                hint="create it, or set bind.create_host_path: true",
            )


def create_container(
    engine: "Engine",
    spec: ContainerSpec,
    *,
    fields: Mapping[str, str],
    replaces: str,
    keep_volumes: bool,
    contents: Mapping[str, bytes],
) -> str:
    """See `Containers.create`."""
    spec = spec._replace(mounts=(*spec.mounts, *_mounts_from(engine, spec)))
    image = check_spec(engine, spec)
    container_id = os.urandom(32).hex()
    inherited = engine.containers.anonymous_volumes(replaces) if keep_volumes else {}
    unfinished = bool(spec.files or spec.storage_bytes)
    with engine.database.transaction():
        _make_way(engine, replaces)
        if spec.userns:
            from runtime.engine.id_ranges import with_id_range

            spec = with_id_range(engine, spec)
        _insert(engine, container_id, spec, image, fields, intent="creating" if unfinished else _intent(spec))
        addresses.allocate(engine, container_id, spec)
        _insert_mounts(engine, container_id, spec, image, inherited)
    ensure_folder(engine.paths.container(container_id), container_id, spec)
    if spec.storage_bytes:
        from runtime.engine.storage import limit_storage

        limit_storage(f"{engine.paths.container(container_id)}/layer", spec.storage_bytes)
    if spec.files:
        _write_files(engine, container_id, spec, contents)
    if unfinished:
        engine.database.execute("UPDATE containers SET intent = ? WHERE id = ?", _intent(spec), container_id)
    append_event(
        engine.paths,
        CREATE,
        container_id,
        project=spec.labels.get(LABEL_PROJECT, ""),
        service=spec.labels.get(LABEL_SERVICE, ""),
        attributes={"image": spec.image, "name": spec.name},
    )
    return container_id


def _mounts_from(engine: "Engine", spec: ContainerSpec) -> list[MountRequest]:
    """Volumes and binds of other containers (volumes_from), but where this one has a mount of its own.

    Raises NotFoundError, InvalidError.
    """
    found: dict[str, MountRequest] = {}
    for entry in spec.volumes_from:
        name, _, access = entry.partition(":")
        other = engine.containers.find(name)
        if other is None:
            raise NotFoundError(f"container {spec.name}: there is no container {name} to take volumes from")
        if access not in ("", "ro", "rw"):
            raise InvalidError(f"container {spec.name}: volumes_from: {access!r} is neither ro nor rw")
        for mount in engine.containers.mounts(other):
            if mount.type != "tmpfs":
                read_only = mount.read_only or access == "ro"
                found[mount.target] = mount._replace(read_only=read_only, nocopy=True)
    own = {mount.target for mount in spec.mounts} | {grant.target for grant in spec.files}
    return [mount for target, mount in found.items() if target not in own]


def _write_files(
    engine: "Engine", container_id: str, spec: ContainerSpec, contents: Mapping[str, bytes]
) -> None:
    """Keep what the container's files hold where only root can read it."""
    folder = engine.paths.granted(container_id)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for number, grant in enumerate(spec.files):
        write_file(f"{folder}/{number}", contents[grant.content])


def _intent(spec: ContainerSpec) -> str:
    return ONCE if spec.auto_remove else ""


def ensure_folder(folder: str, container_id: str, spec: ContainerSpec) -> None:
    """A container's DATA directory, with an empty log: readers may follow it before the first line is written."""
    os.makedirs(f"{folder}/rootfs", mode=0o711, exist_ok=True)
    docker = spec.logging.driver == "json-file" or (spec.logging.options and not spec.logging.driver)
    name = f"{container_id}-json.log" if docker else "log"
    os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _make_way(engine: "Engine", replaced: str) -> None:
    engine.database.execute(
        "UPDATE containers SET intent = 'replaced', name = name || '.' || substr(id, 1, 12) WHERE id = ?",
        replaced,
    )
    engine.database.execute("DELETE FROM endpoints WHERE container_id = ?", replaced)


def _insert(
    engine: "Engine",
    container_id: str,
    spec: ContainerSpec,
    image: ResolvedImage,
    fields: Mapping[str, str],
    *,
    intent: str,
) -> None:
    labels = spec.labels
    try:
        engine.database.execute(
            "INSERT INTO containers VALUES (?, ?, ?, ?, ?, ?, 'created', ?, ?, ?, ?, ?, ?)",
            container_id,
            spec.name,
            labels.get(LABEL_PROJECT, ""),
            labels.get(LABEL_SERVICE, ""),
            int(labels.get(LABEL_NUMBER, "0")),
            time.time_ns(),
            intent,
            labels.get(LABEL_HASH, ""),
            identity(image),
            json.dumps(container_spec.to_json(spec)),
            json.dumps(image_to_json(image)),
            json.dumps(dict(fields)),
        )
    except sqlite3.IntegrityError as error:
        raise ConflictError(
            f"the container name {spec.name} is in use",
            hint="remove that container or choose another name",
        ) from error


def _insert_mounts(
    engine: "Engine",
    container_id: str,
    spec: ContainerSpec,
    image: ResolvedImage,
    inherited: Mapping[str, str],
) -> None:
    for mount in _volume_mounts(spec.mounts, image.config.volumes):
        name = mount.source or inherited.get(mount.target)
        if not name:
            project = spec.labels.get(LABEL_PROJECT, "")
            name = engine.volumes.create_anonymous(project=project, labels=dict(mount.labels))
        elif not engine.volumes.exists(name):
            engine.volumes.create(name)
        engine.database.execute("INSERT INTO mounts VALUES (?, ?, ?)", container_id, name, mount.target)


def _volume_mounts(requests: Sequence[MountRequest], image_volumes: Sequence[str]) -> list[MountRequest]:
    """The mounts that are volumes, those the image declares included."""
    taken = {mount.target.rstrip("/") for mount in requests}
    return [
        *(mount for mount in requests if mount.type == "volume"),
        *(MountRequest("volume", target) for target in image_volumes if target.rstrip("/") not in taken),
    ]
