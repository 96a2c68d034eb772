"""`events`: what a container uses, as JSON objects in runc's form, once or every few seconds, and its OOM kills."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from runtime.cgroups.usage import read_usage
from runtime.container.oci_cgroup import open_recorded
from runtime.container.state import STOPPED, StateDirectory, status_of
from runtime.errors import InvalidError, StateError
from runtime.linux.pidfd import has_exited, open_checked
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, VALUE, Option

HELP = "events [options] CONTAINER\n\nPrints the container's resource usage as JSON until it ends."
OPTIONS = {
    "stats": Option(FLAG, "print once and return"),
    "interval": Option(VALUE, "time between two objects, such as 5s (default) or 500ms"),
}


def run(call: Call) -> int:
    """Print it."""
    directory = StateDirectory(call.root, call.only_id())
    record = directory.load()
    if status_of(directory, record) == STOPPED:
        raise StateError(f"container {directory.id} is not running")
    cgroup = open_recorded(record)
    if call.options.flag("stats"):
        _print("stats", directory.id, read_usage(cgroup))
        return 0
    interval_s = _seconds(call.options.text("interval") or "5s")
    pidfd = open_checked(record.pid, record.pid_start)
    killed = cgroup.oom_kills()
    try:
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                _print("stats", directory.id, read_usage(cgroup))
                due = time.monotonic() + interval_s
            ended = has_exited(pidfd, max(0, min(500, int((due - time.monotonic()) * 1000))))
            now = cgroup.oom_kills()
            if now > killed:
                _print("oom", directory.id, None)
                killed = now
            if ended:
                return 0
    finally:
        os.close(pidfd)


def _print(kind: str, container_id: str, data: dict[str, Any] | None) -> None:
    event: dict[str, Any] = {"type": kind, "id": container_id}
    if data is not None:
        event["data"] = data
    print(json.dumps(event), flush=True)


def _seconds(text: str) -> float:
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if text.endswith(unit):
            number = text.removesuffix(unit)
            if number.replace(".", "", 1).isdigit() and float(number) > 0:
                return float(number) * factor
            break
    raise InvalidError(f"--interval {text!r} is not a time", hint="such as 500ms, 5s or 1m")
