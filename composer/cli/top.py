"""`top`: the processes of containers, by their pids on the host."""

import pwd
from typing import NamedTuple

from composer.cli.context import Context
from composer.output.tables import render_table
from composer.plan.selection import check_services
from runtime import ProcessRow, list_processes

_HEAD = ("SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `top`; the exit code."""
    desired = context.existing(arguments.services)
    check_services(desired, arguments.services)
    rows = [
        (container.service, str(container.number), *_columns(process))
        for container in context.engine.containers.list(desired.project)
        if not arguments.services or container.service in arguments.services
        for process in list_processes(context.engine.containers.processes(container))
    ]
    context.out.line(render_table(_HEAD, rows))
    return 0


def _columns(process: ProcessRow) -> tuple[str, ...]:
    hours, rest = divmod(int(process.cpu_s), 3600)
    return (
        _user(process.uid),
        str(process.pid),
        str(process.parent),
        str(process.cpu_percent),
        process.started,
        process.terminal,
        f"{hours:02}:{rest // 60:02}:{rest % 60:02}",
        process.command,
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
