"""`kill`: send a signal to the first process, or to all of a container."""

from __future__ import annotations

import os

from runtime.container.kill import kill_container, parse_signal
from runtime.container.oci_cgroup import open_recorded
from runtime.container.state import STOPPED, StateDirectory, status_of
from runtime.errors import InvalidError, StateError
from runtime.linux.pidfd import open_checked
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, Option
from runtime.oci_cli.selecting import select_ids

HELP = (
    "kill [options] CONTAINER [SIGNAL]\n\nSends a signal (default SIGTERM) to the container's first process."
)
OPTIONS = {
    "all": Option(FLAG, "to all its processes", "a"),
    "regex": Option(FLAG, "CONTAINER is a regular expression, for several", "r"),
}


def run(call: Call) -> int:
    """Send it."""
    if not 1 <= len(call.options.arguments) <= 2:
        raise InvalidError("a container id is needed, and at most a signal after it")
    pattern, *signals = call.options.arguments
    # 0 only asks whether it is there (kill(2)).
    number = 15 if not signals else 0 if signals[0] == "0" else parse_signal(signals[0])
    for container_id in select_ids(call.root, pattern, call.options.flag("regex")):
        _kill(StateDirectory(call.root, container_id), number, to_all=call.options.flag("all"))
    return 0


def _kill(directory: StateDirectory, number: int, *, to_all: bool) -> None:
    record = directory.load()
    if to_all:
        cgroup = open_recorded(record)
        pids = cgroup.procs()
        if number == 9 and pids:
            cgroup.kill()
            return
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if pids:
            return
    status = status_of(directory, record)
    if status == STOPPED:
        if to_all:
            return
        raise StateError(f"container {directory.id} is not running")
    try:
        pidfd = open_checked(record.pid, record.pid_start)
    except ProcessLookupError:
        raise StateError(f"container {directory.id} is not running") from None
    try:
        kill_container(pidfd, number)
    finally:
        os.close(pidfd)
    if number == 9:
        cgroup = open_recorded(record)
        if cgroup.is_frozen():
            cgroup.freeze(False)  # a frozen process takes its SIGKILL only when it is thawed
