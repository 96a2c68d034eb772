"""`volumes`: the volumes of a project."""

import json
from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.volume import volume_line
from composer.errors import ComposeError
from composer.output.tables import render_table
from composer.plan.selection import check_services


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    quiet: bool = False
    format: str = "table"


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `volumes`; the exit code."""
    if arguments.format not in ("table", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of table, json")
    desired = context.existing(arguments.services)
    check_services(desired, arguments.services)
    used = {
        mount.get("source", "")
        for service in desired.services
        if service.name in arguments.services
        for mount in service.spec.get("mounts", ())
        if mount["type"] == "volume"
    }
    found = [
        volume
        for volume in context.engine.volumes.list(desired.project)
        if not volume.anonymous and (not arguments.services or volume.name in used)
    ]
    if arguments.quiet:
        lines = [volume.name for volume in found]
    elif arguments.format == "json":
        lines = [json.dumps(volume_line(volume)) for volume in found]
    else:
        lines = [render_table(("DRIVER", "VOLUME NAME"), [("local", volume.name) for volume in found])]
    for line in lines:
        context.out.line(line)
    return 0
