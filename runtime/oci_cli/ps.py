"""`ps`: the processes of a container, by their pids on the host."""

from __future__ import annotations

import json

from runtime.container.oci_cgroup import open_recorded
from runtime.container.state import StateDirectory
from runtime.errors import InvalidError
from runtime.oci_cli.list import print_table
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import VALUE, Option

HELP = "ps [options] CONTAINER\n\nLists the processes of a container."
OPTIONS = {"format": Option(VALUE, "table (default) or json", "f")}


def run(call: Call) -> int:
    """Print them."""
    style = call.options.text("format") or "table"
    if style not in ("table", "json"):
        raise InvalidError(f"unknown format {style!r}", hint="table or json")
    pids = open_recorded(StateDirectory(call.root, call.only_id()).load()).procs()
    if style == "json":
        print(json.dumps(pids))
    else:
        print_table([["PID", "PPID", "UID", "CMD"], *filter(None, map(_row, pids))])
    return 0


def _row(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None  # it has just ended
    return [str(pid), fields["PPid"], fields["Uid"].split()[0], command or f"[{fields['Name']}]"]
