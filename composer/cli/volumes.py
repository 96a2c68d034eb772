"""`volumes`: the volumes of a project."""

from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.volume import format_volumes
from composer.output.formats import check_format
from composer.plan.selection import check_services


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    quiet: bool = False
    format: str = "table"


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `volumes`; the exit code."""
    check_format(arguments.format)
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
    lines = [volume.name for volume in found] if arguments.quiet else format_volumes(arguments.format, found)
    for line in lines:
        context.out.line(line)
    return 0
