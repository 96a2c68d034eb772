"""`create`: everything but running the container's program, which waits for `start`."""

from __future__ import annotations

from runtime.oci_cli.creating import OPTIONS as OPTIONS
from runtime.oci_cli.creating import create
from runtime.oci_cli.main import Call

HELP = "create [options] CONTAINER\n\nCreates a container from a bundle. Its program waits for `start`."


def run(call: Call) -> int:
    """Create it."""
    create(call, waiting=True, terminal_here=False)
    return 0
