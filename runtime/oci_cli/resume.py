"""`resume`: let the processes of a paused container run again."""

from __future__ import annotations

from runtime.container.state import PAUSED
from runtime.oci_cli.main import Call
from runtime.oci_cli.pause import change

HELP = "resume CONTAINER\n\nLets the processes of a paused container run again."
OPTIONS: dict[str, object] = {}


def run(call: Call) -> int:
    """Resume it."""
    change(call, PAUSED, frozen=False)
    return 0
