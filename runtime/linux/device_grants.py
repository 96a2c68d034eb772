"""Finds on the host what a container is given of its devices: nodes, directories of them, CDI devices.

The result is numbers and names only; `generate` makes OCI of it.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from runtime.errors import InvalidError, NotFoundError
from runtime.linux.devices import describe_node
from runtime.oci import cdi
from runtime.oci.container_spec import BlockLimits, ContainerSpec
from runtime.oci.spec import Device, DeviceRule, Hook, Mount

_ACCESS = frozenset("rwm")
RUN_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart")


class DeviceGrants(NamedTuple):
    """What the host has of it: nodes with their rules, and the rest of what CDI adds."""

    devices: tuple[Device, ...] = ()
    rules: tuple[DeviceRule, ...] = ()
    mounts: tuple[Mount, ...] = ()
    environment: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    hooks: Mapping[str, list[Hook]] = {}
    warnings: tuple[str, ...] = ()


def load_grants(spec: ContainerSpec) -> DeviceGrants:
    """Look up the devices of a container. Raises NotFoundError, InvalidError."""
    devices: list[Device] = []
    rules: list[DeviceRule] = []
    names = [mapping.source for mapping in spec.devices if cdi.is_qualified(mapping.source)]
    for mapping in spec.devices:
        if mapping.source not in names:
            if not mapping.permissions or not _ACCESS.issuperset(mapping.permissions):
                raise InvalidError(
                    f"device {mapping.source}: {mapping.permissions!r} is no way to use it",
                    hint="letters of rwm: read, write, make nodes",
                )
            for device in _nodes(mapping.source, mapping.target):
                devices.append(device)
                rules.append(_rule(device, mapping.permissions))
    if not names and not spec.device_requests:
        return DeviceGrants(tuple(devices), tuple(rules))
    documents = load_specifications()
    for request in spec.device_requests:
        names += cdi.select_devices(documents, request)
    edits = cdi.plan_edits(documents, list(dict.fromkeys(names)))
    for node in edits.device_nodes:
        for device in _nodes(node.get("hostPath") or node["path"], node["path"]):
            chosen: Device = {**device, **_overrides(node)}  # type: ignore[typeddict-item]
            devices.append(chosen)
            rules.append(_rule(chosen, node.get("permissions") or "rwm"))
    return DeviceGrants(
        tuple(devices),
        tuple(rules),
        tuple(_mount(mount) for mount in edits.mounts),
        edits.environment,
        edits.groups,
        *_hooks(edits.hooks),
    )


def _hooks(asked: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, list[Hook]], tuple[str, ...]]:
    """The hooks by when they are run, and warnings: by poststop nothing is left that would run any."""
    hooks: dict[str, list[Hook]] = {}
    warnings = []
    for item in asked:
        kind = item.get("hookName", "")
        if kind in RUN_HOOKS:
            hook = {key: item[key] for key in ("path", "args", "env", "timeout") if key in item}
            hooks.setdefault(kind, []).append(cast(Hook, hook))
        else:
            warnings.append(f"the {kind} hook {item.get('path')} of a CDI device is not run")
    return hooks, tuple(warnings)


def _nodes(source: str, target: str) -> list[Device]:
    """One node, or all below a directory, under their paths in the container. Raises NotFoundError, InvalidError."""
    try:
        status = os.stat(source)
    except OSError as error:
        raise NotFoundError(f"device {source}: {(error.strerror or '').lower()}") from error
    if not target.startswith("/"):
        raise InvalidError(f"device {source}: {target!r} is no absolute path in the container")
    if not stat.S_ISDIR(status.st_mode):
        device = describe_node(target, status)
        if device is None:
            raise InvalidError(
                f"{source} is neither a device nor a directory", hint="use `volumes` for files"
            )
        return [device]
    found = []
    for where, directories, files in os.walk(source):
        directories.sort()
        for name in sorted(files):
            path = f"{where}/{name}"
            inside = f"{target.rstrip('/')}{path[len(source.rstrip('/')) :]}"
            try:
                device = describe_node(inside, os.lstat(path))
            except FileNotFoundError:
                continue
            if device is not None:
                found.append(device)
    if not found:
        raise NotFoundError(f"the directory {source} has no devices")
    return found


def _rule(device: Device, access: str) -> DeviceRule:
    return {
        "allow": True,
        "type": device["type"],
        "major": device.get("major", 0),
        "minor": device.get("minor", 0),
        "access": access,
    }


def _overrides(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: node[key] for key in ("fileMode", "uid", "gid") if node.get(key) is not None}


def _mount(mount: Mapping[str, Any]) -> Mount:
    options = list(mount.get("options") or ["rbind", "ro"])
    if not {"bind", "rbind"} & set(options):
        options.append("rbind")
    return {
        "destination": mount["containerPath"],
        "type": "bind",
        "source": mount["hostPath"],
        "options": options,
    }


def load_specifications(folders: Iterable[str] = cdi.FOLDERS) -> list[dict[str, Any]]:
    """The CDI specifications of the host; of two for one device that of the later folder comes first.

    Raises InvalidError for a file that is none.
    """
    found: list[dict[str, Any]] = []
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.endswith((".json", ".yaml", ".yml")):
                found.insert(0, _load_specification(f"{folder}/{name}"))
    return found


def _load_specification(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".json"):
            document = json.loads(text)
        else:
            import yaml

            document = yaml.safe_load(text)
    except Exception as error:
        raise InvalidError(f"the CDI specification {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or "kind" not in document:
        raise InvalidError(f"{path} is no CDI specification", hint="it has no `kind`")
    return document


def load_block_numbers(limits: BlockLimits) -> dict[str, tuple[int, int]]:
    """Path -> (major, minor) of the block devices that limits name. Raises NotFoundError, InvalidError."""
    numbers = {}
    for path, _ in (item for group in limits[1:] for item in group):
        try:
            status = os.stat(path)
        except OSError as error:
            raise NotFoundError(f"blkio_config: device {path}: {(error.strerror or '').lower()}") from error
        if not stat.S_ISBLK(status.st_mode):
            raise InvalidError(f"blkio_config: {path} is no block device")
        numbers[path] = os.major(status.st_rdev), os.minor(status.st_rdev)
    return numbers
