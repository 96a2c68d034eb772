"""`pause`: suspend all processes of a container."""

from __future__ import annotations

from runtime.container.oci_cgroup import open_recorded
from runtime.container.state import PAUSED, RUNNING, StateDirectory, status_of
from runtime.errors import StateError
from runtime.oci_cli.main import Call

HELP = "pause CONTAINER\n\nSuspends all processes of a container."
OPTIONS: dict[str, object] = {}


def run(call: Call) -> int:
    """Pause it."""
    change(call, RUNNING, frozen=True)
    return 0


def change(call: Call, expected: str, *, frozen: bool) -> None:
    """Freeze or thaw a container that has the expected status. Raises StateError if it has another."""
    directory = StateDirectory(call.root, call.only_id())
    record = directory.load()
    status = status_of(directory, record)
    if status != expected and not (frozen and status == PAUSED):
        verb = "paused" if frozen else "resumed"
        raise StateError(f"container {directory.id} cannot be {verb}: it is {status}, not {expected}")
    open_recorded(record).freeze(frozen)
