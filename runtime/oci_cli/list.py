"""`list`: the containers below --root."""

from __future__ import annotations

import json
from typing import Any

from runtime.container.state import StateDirectory, list_ids, state_json, status_of
from runtime.errors import InvalidError, NotFoundError
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, VALUE, Option

HELP = "list [options]\n\nLists the containers of this --root."
OPTIONS = {
    "format": Option(VALUE, "table (default) or json", "f"),
    "quiet": Option(FLAG, "only the ids", "q"),
}
_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def run(call: Call) -> int:
    """Print the list."""
    style = call.options.text("format") or "table"
    if style not in ("table", "json"):
        raise InvalidError(f"unknown format {style!r}", hint="table or json")
    if call.options.flag("quiet"):
        for container_id in list_ids(call.root):
            print(container_id)
        return 0
    states = [state for container_id in list_ids(call.root) if (state := _state(call.root, container_id))]
    if style == "json":
        print(json.dumps(states))
    else:
        print_table([[key.upper() for key in _COLUMNS], *([str(s[key]) for key in _COLUMNS] for s in states)])
    return 0


def _state(root: str, container_id: str) -> dict[str, Any] | None:
    directory = StateDirectory(root, container_id)
    try:
        record = directory.load()
    except NotFoundError:
        return None  # being created or deleted at this moment
    return state_json(record, status_of(directory, record))


def print_table(rows: list[list[str]]) -> None:
    """Columns as wide as their widest entry."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
