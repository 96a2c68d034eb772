"""Host paths in a tree made absolute, variables without value taken from the shell. Pure: text to text."""

import os.path
import re
from collections.abc import Callable
from typing import Any

from composer.load.rules import RuleTable
from composer.load.template import Lookup

_REMOTE = re.compile(r"(https?|git|ssh|oci)://|github\.com/|git@|[^/@\s]+@[^/:\s]+:")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")

Resolver = Callable[[str, str, str], str]


def resolve_paths(tree: Any, directory: str, home: str) -> None:
    """Makes the host paths of a canonical tree absolute, in place; `~` is `home`."""
    _walk(tree, (), directory, home)


def _walk(value: Any, path: tuple[str | int, ...], directory: str, home: str) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        inner = (*path, key)
        rule = _RULES.find(inner)
        if rule is not None and isinstance(item, str):
            value[key] = rule(item, directory, home)
        elif isinstance(item, dict) and _MOUNTS.find(inner):
            if item.get("type") == "bind" and isinstance(item.get("source"), str):
                item["source"] = host_path(item["source"] or ".", directory, home)
        elif isinstance(item, dict) and _VOLUMES.find(inner):
            _local_volume(item, directory, home)
        elif isinstance(item, dict | list):
            _walk(item, inner, directory, home)


def _local_volume(volume: dict[str, Any], directory: str, home: str) -> None:
    """The device of a bind mount: only where driver and options say exactly that, as in the reference."""
    options = volume.get("driver_opts")
    if volume.get("driver") != "local" or not isinstance(options, dict):
        return
    device = options.get("device")
    if options.get("o") == "bind" and isinstance(device, str):
        options["device"] = host_path(device or ".", directory, home)


def host_path(path: str, directory: str, home: str) -> str:
    """A relative path and one that starts with `~` made absolute and cleaned; every other stays as it is."""
    if not path or path.startswith("/") or _WINDOWS.match(path):
        return path
    if path.startswith("~"):
        path = f"{home}/{path[1:]}"
    return os.path.normpath(os.path.join(directory, path)).replace("//", "/", 1)


def _context(path: str, directory: str, home: str) -> str:
    return path if _REMOTE.match(path) else host_path(path, directory, home)


def _additional(path: str, directory: str, home: str) -> str:
    return path if _SCHEME.match(path) and not _WINDOWS.match(path) else _context(path, directory, home)


_RULES: RuleTable[Resolver] = RuleTable(
    {
        "services.*.build": _context,
        "services.*.build.context": _context,
        "services.*.build.additional_contexts.*": _additional,
        "services.*.build.ssh.*": host_path,
        "services.*.env_file.*.path": host_path,
        "services.*.label_file.*": host_path,
        "services.*.develop.watch.*.path": host_path,
        "secrets.*.file": host_path,
        "configs.*.file": host_path,
    }
)
_MOUNTS: RuleTable[bool] = RuleTable({"services.*.volumes.*": True})
_VOLUMES: RuleTable[bool] = RuleTable({"volumes.*": True})


def resolve_environment(tree: Any, lookup: Lookup) -> None:
    """Gives bare keys of environment and build args their value from the shell, in place, where there is one."""
    services = tree.get("services") if isinstance(tree, dict) else None
    for service in services.values() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        build = service.get("build")
        maps = [service.get("environment"), build.get("args") if isinstance(build, dict) else None]
        for values in maps:
            if isinstance(values, dict):
                values.update({key: lookup(key) for key, value in values.items() if value is None})
