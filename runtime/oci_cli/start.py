"""`start`: let the program of a created container run."""

from __future__ import annotations

from runtime.container.oci_start import start_created
from runtime.container.state import StateDirectory
from runtime.oci_cli.main import Call

HELP = "start CONTAINER\n\nRuns the program of a created container."
OPTIONS: dict[str, object] = {}


def run(call: Call) -> int:
    """Start it."""
    start_created(StateDirectory(call.root, call.only_id()))
    return 0
