"""`delete`: remove a container that has ended, or one that runs with --force."""

from __future__ import annotations

from runtime.container.delete import delete_container
from runtime.container.state import StateDirectory
from runtime.errors import InvalidError
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, Option
from runtime.oci_cli.selecting import select_ids

HELP = "delete [options] CONTAINER\n\nDeletes a container that has ended."
OPTIONS = {
    "force": Option(FLAG, "kill it if it runs; one that is not there is fine", "f"),
    "regex": Option(FLAG, "CONTAINER is a regular expression, for several", "r"),
}


def run(call: Call) -> int:
    """Delete it."""
    if not call.options.arguments:
        raise InvalidError("a container id is needed")
    for text in call.options.arguments:
        for container_id in select_ids(call.root, text, call.options.flag("regex")):
            directory = StateDirectory(call.root, container_id)
            for warning in delete_container(directory, force=call.options.flag("force")):
                call.log.warning(warning)
    return 0
