"""`update`: other limits for a container, from options or from a JSON object of resources."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from runtime.container.oci_cgroup import open_recorded
from runtime.container.state import STOPPED, StateDirectory, status_of
from runtime.errors import InvalidError, NotFoundError, StateError, UnsupportedError
from runtime.oci.spec import LinuxResources
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import VALUE, Option, Parsed

HELP = (
    "update [options] CONTAINER\n\nChanges the limits of a container. With --resources the object looks like\n"
    'linux.resources of config.json: {"memory": {"limit": 1073741824}, "cpu": {"shares": 512}}'
)
# Option -> where its value belongs in the resources; numbers but for the two lists.
_PLACES = {
    "blkio-weight": ("blockIO", "weight"),
    "cpu-period": ("cpu", "period"),
    "cpu-quota": ("cpu", "quota"),
    "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"),
    "cpu-shares": ("cpu", "shares"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
    "cpuset-cpus": ("cpu", "cpus"),
    "cpuset-mems": ("cpu", "mems"),
    "kernel-memory": ("memory", "kernel"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
    "memory": ("memory", "limit"),
    "memory-reservation": ("memory", "reservation"),
    "memory-swap": ("memory", "swap"),
    "pids-limit": ("pids", "limit"),
}
_TEXTS = ("cpuset-cpus", "cpuset-mems")
OPTIONS = {
    "resources": Option(VALUE, "file with the resources as JSON, - for standard input", "r"),
    **{name: Option(VALUE, f"{section}.{key} of the resources") for name, (section, key) in _PLACES.items()},
    "l3-cache-schema": Option(VALUE, "not supported: Intel RDT"),
    "mem-bw-schema": Option(VALUE, "not supported: Intel RDT"),
}


def run(call: Call) -> int:
    """Change them."""
    directory = StateDirectory(call.root, call.only_id())
    record = directory.load()
    if status_of(directory, record) == STOPPED:
        raise StateError(f"container {directory.id} cannot be updated: it is stopped")
    for name in ("l3-cache-schema", "mem-bw-schema"):
        if call.options.given(name):
            raise UnsupportedError(f"--{name}: Intel RDT is not supported")
    path = call.options.text("resources")
    resources = _load(path) if path else _from_options(call.options)
    for warning in open_recorded(record).update(resources):
        call.log.warning(warning)
    return 0


def _load(path: str) -> LinuxResources:
    try:
        if path == "-":
            text = sys.stdin.read()
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        found = json.loads(text)
    except FileNotFoundError:
        raise NotFoundError(f"no file {path}") from None
    except ValueError as error:
        raise InvalidError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidError(f"{path} does not hold a JSON object")
    return cast(LinuxResources, _set_values(found))


def _set_values(resources: dict[str, Any]) -> dict[str, Any]:
    """Without nulls, and without the zeros and empty texts by which Go programs mean "unchanged"."""
    kept: dict[str, Any] = {}
    for section, value in resources.items():
        if isinstance(value, dict) and section in ("memory", "cpu", "blockIO", "pids"):
            value = {key: item for key, item in value.items() if item not in (None, 0, "", [], False)}
        if value not in (None, {}, []):
            kept[section] = value
    return kept


def _from_options(options: Parsed) -> LinuxResources:
    resources: dict[str, dict[str, object]] = {}
    for name, (section, key) in _PLACES.items():
        if options.given(name):
            value = options.text(name) if name in _TEXTS else options.number(name)
            resources.setdefault(section, {})[key] = value
    return cast(LinuxResources, resources)
