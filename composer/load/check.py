"""Rules between attributes that a schema cannot say. Pure; every breach is told, at its line."""

import re
from collections.abc import Iterable
from typing import Any

from composer import graph
from composer.load.mistakes import Mistakes
from composer.load.normalize import implied_dependencies
from composer.load.origins import Marks, Path, Report
from composer.load.ports import is_address, is_port_range

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_REFERENCES = (("networks", "network"), ("models", "model"))


def check_values(tree: dict[str, Any], marks: Marks, report: Report) -> None:
    """Rules for every service and resource, active or not; runs on the canonical tree."""
    for name, service in (tree.get("services") or {}).items():
        _mounts_and_ports(service, ("services", name), marks, report)
        _devices(service, ("services", name), marks, report)
        own = service.get("container_name")
        if own and not _NAME.fullmatch(own):
            where = ("services", name, "container_name")
            hint = "use letters, digits, '.', '_' and '-', starting with a letter or digit, two at least"
            report.add(f"{own!r} cannot be a container's name", where, marks, hint)
    for key, volume in (tree.get("volumes") or {}).items():
        if isinstance(volume, dict) and volume.get("external"):
            for other in ("driver", "driver_opts", "labels"):
                if volume.get(other):
                    message = f"an external volume cannot have {other!r}: it exists already"
                    report.add(message, ("volumes", key, other), marks)
    for section, kinds in (
        ("secrets", ("file", "environment", "driver")),
        ("configs", ("file", "environment", "content")),
    ):
        for key, item in (tree.get(section) or {}).items():
            _one_source(section, key, item, kinds, marks, report)


def _one_source(
    section: str, key: str, item: Any, kinds: tuple[str, ...], marks: Marks, report: Report
) -> None:
    if not isinstance(item, dict) or item.get("external"):
        return
    given = [kind for kind in kinds if kind in item]
    if len(given) != 1:
        problem = "has no source" if not given else f"has several sources: {', '.join(given)}"
        report.add(f"{key!r} {problem}", (section, key), marks, f"give exactly one of {', '.join(kinds)}")


def _mounts_and_ports(service: dict[str, Any], path: Path, marks: Marks, report: Report) -> None:
    for index, port in enumerate(service.get("ports") or ()):
        if "target" not in port:
            report.add("the port lacks the key 'target'", (*path, "ports", index), marks)
        if "host_ip" in port and "$" not in port["host_ip"] and not is_address(port["host_ip"]):
            where = (*path, "ports", index, "host_ip")
            report.add(
                f"{port['host_ip']!r} is not an IP address", where, marks, "leave it out for every address"
            )
        published = port.get("published") or ""
        if "$" not in published and not is_port_range(published):
            where = (*path, "ports", index, "published")
            report.add(f"{published!r} is neither a port nor a range of ports (0 to 65535)", where, marks)
    for section in ("secrets", "configs"):
        for index, grant in enumerate(service.get(section) or ()):
            if not grant.get("source"):
                where = (*path, section, index)
                report.add(f"the entry lacks the key 'source': which {section[:-1]}?", where, marks)
    for index, mount in enumerate(service.get("volumes") or ()):
        where = (*path, "volumes", index)
        if not mount.get("target"):
            report.add("the mount lacks the key 'target'", where, marks)
        if mount.get("type") == "bind" and "source" not in mount:
            report.add("a bind mount needs the key 'source'", where, marks)
    build = service.get("build")
    if not isinstance(build, dict):
        return
    if build.get("dockerfile") and build.get("dockerfile_inline"):
        report.add("'dockerfile' and 'dockerfile_inline' exclude each other", (*path, "build"), marks)


def _devices(service: dict[str, Any], path: Path, marks: Marks, report: Report) -> None:
    value: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        value = value.get(key) if isinstance(value, dict) else None
    for index, device in enumerate(value or ()):
        if device.get("count") and device.get("device_ids"):
            where = (*path, "deploy", "resources", "reservations", "devices", index)
            report.add("'count' and 'device_ids' exclude each other", where, marks)


def check_consistency(
    tree: dict[str, Any], active: Iterable[str], marks: Marks, report: Report, mistakes: Mistakes
) -> None:
    """Rules for active services: references, limits given twice, names; runs on the normalised tree.

    What earlier mistakes explain is not told.
    """
    chosen = {name: tree["services"][name] for name in active}
    names: dict[str, str] = {}
    for name, service in chosen.items():
        path: Path = ("services", name)
        origins = ("image", "build", "provider")
        if not any(service.get(key) for key in origins) and not mistakes.may_have_image(name):
            blank = "image" in service
            hint = "its image is blank: is a variable unset?" if blank else "add `image:` or `build:`"
            where = (*path, "image") if blank else path
            report.add("the service has neither an image nor a build", where, marks, hint)
        if service.get("network_mode") and service.get("networks"):
            report.add("network_mode and networks exclude each other", (*path, "network_mode"), marks)
        platform, platforms = service.get("platform"), (service.get("build") or {}).get("platforms")
        if platform and platforms and platform not in platforms:
            where = (*path, "build", "platforms")
            report.add(f"the platform {platform!r} is not among those built", where, marks)
        _references(tree, service, path, marks, report, mistakes)
        _dependencies(tree, chosen, service, path, marks, report, mistakes)
        _limits(service, path, marks, report)
        _container_name(name, service, names, marks, report)
    for cycle in graph.cycles({name: tuple(s.get("depends_on") or ()) for name, s in chosen.items()})[:1]:
        steps = " -> ".join((*cycle, cycle[0]))
        report.add(f"services depend on each other: {steps}", ("services", cycle[0], "depends_on"), marks)


def _references(
    tree: dict[str, Any],
    service: dict[str, Any],
    path: Path,
    marks: Marks,
    report: Report,
    mistakes: Mistakes,
) -> None:
    def undefined(section: str, key: str) -> bool:
        return key not in (tree.get(section) or {}) and not mistakes.may_define(section, key)

    for section, word in _REFERENCES:
        for key in service.get(section) or ():
            if undefined(section, key):
                report.add(
                    f"the {word} {key!r} is not defined", (*path, section, key), marks, _declare(section, key)
                )
    for index, mount in enumerate(service.get("volumes") or ()):
        source = mount.get("source")
        if mount.get("type") == "volume" and source and undefined("volumes", source):
            hint = _declare("volumes", source) + f", or write ./{source} for a directory"
            report.add(f"the volume {source!r} is not defined", (*path, "volumes", index), marks, hint)
    build = service.get("build") or {}
    for section, owner, where in (
        ("secrets", service, path),
        ("configs", service, path),
        ("secrets", build, (*path, "build")),
    ):
        for index, grant in enumerate(owner.get(section) or ()):
            source = grant.get("source")
            if source and undefined(section, source):
                message = f"the {section[:-1]} {source!r} is not defined"
                report.add(message, (*where, section, index), marks, _declare(section, source))


def _declare(section: str, key: str) -> str:
    return f"declare {key!r} under the top-level `{section}:`"


def _dependencies(
    tree: dict[str, Any],
    chosen: dict[str, Any],
    service: dict[str, Any],
    path: Path,
    marks: Marks,
    report: Report,
    mistakes: Mistakes,
) -> None:
    origins = {other: attribute for attribute, other, _ in implied_dependencies(service)}
    for other, entry in (service.get("depends_on") or {}).items():
        known = other in tree["services"]
        if other in chosen or (known and not entry.get("required", True)):
            continue
        if not known and mistakes.may_define("services", other):
            continue
        attribute = (
            "depends_on" if marks.find((*path, "depends_on", other)) else origins.get(other, "depends_on")
        )
        what = "is not active" if known else "is not defined"
        profiles = ", ".join(tree["services"][other].get("profiles") or ()) if known else ""
        hint = f"activate one of its profiles: {profiles}" if profiles else ""
        report.add(f"the service depends on {other!r}, which {what}", (*path, attribute, other), marks, hint)


_TWICE = (
    ("mem_limit", ("limits", "memory")),
    ("cpus", ("limits", "cpus")),
    ("pids_limit", ("limits", "pids")),
    ("mem_reservation", ("reservations", "memory")),
)


def _limits(service: dict[str, Any], path: Path, marks: Marks, report: Report) -> None:
    deploy = service.get("deploy") or {}
    resources = deploy.get("resources") or {}
    for attribute, (part, key) in _TWICE:
        other = (resources.get(part) or {}).get(key)
        if service.get(attribute) and other and float(service[attribute]) != float(other):
            message = f"{attribute} and deploy.resources.{part}.{key} differ"
            report.add(message, (*path, attribute), marks, "give only one of them")
    if "scale" in service and deploy.get("replicas") is not None and service["scale"] != deploy["replicas"]:
        report.add("scale and deploy.replicas differ", (*path, "scale"), marks, "give only one of them")


def _container_name(
    name: str, service: dict[str, Any], names: dict[str, str], marks: Marks, report: Report
) -> None:
    own = service.get("container_name")
    if not own:
        return
    where: Path = ("services", name, "container_name")
    scale = service.get("scale", (service.get("deploy") or {}).get("replicas"))
    if scale is not None and scale > 1:
        report.add(f"{scale} containers cannot all be named {own!r}", where, marks, "remove container_name")
    if own in names:
        report.add(f"the container name {own!r} is already that of service {names[own]!r}", where, marks)
    names[own] = name
