"""What of a file the engine does not honour: a warning for each, or why `up` must refuse it. Pure.

The table is `attributes`; here are the walk through a service and the rules that hang on a value.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from composer.load.attributes import ENDPOINT_OPTIONS, IPAM_OPTIONS, NETWORK_OPTIONS, Status, attributes
from composer.load.command_line import left_out
from composer.load.mounts import is_windows_path
from composer.load.origins import Marks, Path, dotted

_RESOURCES = ("networks", "volumes", "secrets", "configs", "models")
_MOUNT_TYPES = ("bind", "volume", "tmpfs", "image")
_LOCAL = (None, "", "local")
_UNTRANSLATED = frozenset(("macvlan", "ipvlan"))


def unsupported(tree: Mapping[str, Any], active: Iterable[str], marks: Marks) -> Iterator[str]:
    """One complete warning line per attribute that is valid but not honoured; command lines are still text."""
    for name in active:
        service = tree["services"][name]
        for path, note in _found(service, "services.*", Status.WARNED):
            where: Path = ("services", name, *path)
            yield _line(where, marks, f"service {name!r}: {dotted(path)} {_told(note)}")
        if (service.get("deploy") or {}).get("mode") not in (None, "", "replicated", "replicated-job"):
            where = ("services", name, "deploy", "mode")
            yield _line(
                where,
                marks,
                f"service {name!r}: deploy.mode {_told('there is one machine, so it counts as replicated')}",
            )
        yield from _unknown_endpoint_options(name, service, marks)
        yield from _operators(name, service, marks)
        yield from _drive_letters(name, service, marks)
        yield from _discarded_ports(name, service, tree.get("networks") or {}, marks)
        yield from _discarded_labels(name, service, marks)
    for section in _RESOURCES:
        for key, item in (tree.get(section) or {}).items():
            options = _unknown_options(item or {}) if section == "networks" else ()
            for path, note in (*_found(item or {}, f"{section}.*", Status.WARNED), *options):
                if path == ("ipam", "driver") and item["ipam"]["driver"] == "default":
                    continue
                message = f"{section[:-1]} {key!r}: {dotted(path)} {_told(note)}"
                yield _line((section, key, *path), marks, message)


def refusals(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    """Why a service cannot be made as its file says, each with its place. Asked only when it is to be made."""
    for path, note in (*_found(service, "services.*", Status.REFUSED), *_refused_values(service)):
        origin = marks.at(("services", name, *path))
        yield f"{origin}: {dotted(path)}: {note}" if origin else f"{dotted(path)}: {note}"


def refused_volume(key: str, volume: Mapping[str, Any], marks: Marks) -> str:
    """Why a volume cannot be made as its file says, "" if it can."""
    if volume.get("external") or volume.get("driver") in _LOCAL:
        return ""
    origin = marks.at(("volumes", key, "driver"))
    driver = volume["driver"]
    return (
        f"{origin}: volume {key!r} asks for the driver {driver!r}; the only one is `local`, with driver_opts"
    )


def _refused_values(service: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for index, mount in enumerate(service.get("volumes") or ()):
        if mount.get("type") not in _MOUNT_TYPES:
            why = "of Windows" if mount.get("type") == "npipe" else "of a swarm of machines"
            yield ("volumes", index, "type"), f"{mount.get('type')} mounts are {why}; use bind or volume"
    if service.get("isolation") not in (None, "", "default"):
        yield ("isolation",), f"{service['isolation']!r} is of Windows containers; remove it"


def _found(value: Any, pattern: str, status: Status, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Attributes below `value` that have a status, with the table's note; what is below such a one is not told."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).startswith("x-") or item is None or item is False or item in ("", [], {}):
                continue
            named = f"{pattern}.{key}"
            support = attributes().get(named)
            if support is not None and support.status is status:
                yield (*path, key), support.note
            elif support is None or support.status is Status.HONOURED:
                below = named if support is not None else f"{pattern}.*"
                yield from _found(item, below, status, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _found(item, f"{pattern}[]", status, (*path, index))


def _told(note: str) -> str:
    return f"is {note}" if note.startswith("not ") else f"has no effect: {note}"


def _unknown_endpoint_options(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for network, use in (service.get("networks") or {}).items():
        for option in (use or {}).get("driver_opts") or ():
            if option not in ENDPOINT_OPTIONS:
                path: Path = ("networks", network, "driver_opts", option)
                message = f"service {name!r}: {dotted(path)} is not honoured yet"
                yield _line(("services", name, *path), marks, message)


def _unknown_options(network: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for option in network.get("driver_opts") or ():
        if option not in NETWORK_OPTIONS:
            yield ("driver_opts", option), "not honoured yet"
    for option in (network.get("ipam") or {}).get("options") or ():
        if option not in IPAM_OPTIONS:
            yield ("ipam", "options", option), "not an option of the driver `default`"


def _operators(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for attribute in ("command", "entrypoint"):
        rest = left_out(service[attribute]) if isinstance(service.get(attribute), str) else ""
        if rest:
            message = (
                f"service {name!r}: there is no shell, so {attribute} ends before {rest!r}; write sh -c '…'"
            )
            yield _line(("services", name, attribute), marks, message)


def _drive_letters(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for index, mount in enumerate(service.get("volumes") or ()):
        for path in (mount.get("source") or "", mount.get("target") or ""):
            if is_windows_path(path):
                message = (
                    f"service {name!r}: {path!r} is read as a Windows path; volume names need two letters"
                )
                yield _line(("services", name, "volumes", index), marks, message)


def _discarded_ports(
    name: str, service: Mapping[str, Any], networks: Mapping[str, Any], marks: Marks
) -> Iterator[str]:
    joined = [networks.get(key) or {} for key in service.get("networks") or ()]
    if service.get("network_mode") in ("host", "none"):
        why = f"with network_mode {service['network_mode']}"
    elif joined and all(
        network.get("internal") or network.get("driver") in _UNTRANSLATED for network in joined
    ):
        why = "in internal, macvlan and ipvlan networks: the container is reached by its own address or not at all"
    else:
        return
    if service.get("ports"):
        message = f"service {name!r}: published ports have no effect {why}"
        yield _line(("services", name, "ports"), marks, message)


def _discarded_labels(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for index, mount in enumerate(service.get("volumes") or ()):
        if mount.get("source") and (mount.get("volume") or {}).get("labels"):
            path: Path = ("volumes", index, "volume", "labels")
            message = (
                f"service {name!r}: {dotted(path)} has no effect: a named volume has those of its definition"
            )
            yield _line(("services", name, *path), marks, message)


def _line(path: Path, marks: Marks, message: str) -> str:
    origin = marks.at(path)
    return f"warning: {origin}: {message}" if origin else f"warning: {message}"
