"""`run`: create and start in one call, and wait unless told otherwise."""

from __future__ import annotations

import os

from runtime.container.delete import remove_container
from runtime.container.oci_start import start_now
from runtime.oci_cli.creating import OPTIONS as _CREATING
from runtime.oci_cli.creating import create
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, Option

HELP = "run [options] CONTAINER\n\nCreates a container from a bundle, starts it and waits for its end."
OPTIONS = {
    **_CREATING,
    "detach": Option(FLAG, "do not wait for its end", "d"),
    "keep": Option(FLAG, "do not delete it when it has ended"),
}


def run(call: Call) -> int:
    """Run it; its exit code when waited for."""
    detach = call.options.flag("detach")
    if not detach:
        from runtime.oci_cli.foreground import hold_signals, wait_for

        signals = hold_signals()
    created = create(call, waiting=False, terminal_here=not detach)
    try:
        start_now(created)
    except BaseException:
        remove_container(created.directory, created.record)
        raise
    if detach:
        return 0
    code = wait_for(created.record.pid, created.pidfd, created.console, signals)
    if created.console >= 0:
        os.close(created.console)
    if not call.options.flag("keep"):
        for warning in remove_container(created.directory, created.record):
            call.log.warning(warning)
    return code
