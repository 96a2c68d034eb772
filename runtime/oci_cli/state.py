"""`state`: the container's state as JSON (runtime.md: State)."""

from __future__ import annotations

import json

from runtime.container.state import StateDirectory, state_json, status_of
from runtime.oci_cli.main import Call

HELP = "state CONTAINER\n\nPrints the state of a container as JSON."
OPTIONS: dict[str, object] = {}


def run(call: Call) -> int:
    """Print it."""
    directory = StateDirectory(call.root, call.only_id())
    record = directory.load()
    print(json.dumps(state_json(record, status_of(directory, record)), indent=2))
    return 0
