"""`ls`: the projects of this machine."""

import json
from collections import Counter
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.tables import render_table

_FILES = "com.docker.compose.project.config_files"


class Arguments(NamedTuple):
    all: bool = False
    quiet: bool = False
    format: str = "table"
    filter: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `ls`; the exit code."""
    if arguments.format not in ("table", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of table, json")
    key, _, wanted = arguments.filter.partition("=")
    if arguments.filter and key != "name":
        raise ComposeError(f"--filter {arguments.filter!r} is not supported", hint="use --filter name=TEXT")
    statuses: dict[str, Counter[str]] = {}
    files: dict[str, str] = {}
    for container in context.engine.containers.list():
        if container.project and wanted in container.project and (arguments.all or container.is_live):
            statuses.setdefault(container.project, Counter())[container.status] += 1
            files.setdefault(container.project, container.spec.labels.get(_FILES, ""))
    rows = [
        (
            project,
            ", ".join(f"{status}({number})" for status, number in sorted(found.items())),
            files[project],
        )
        for project, found in sorted(statuses.items())
    ]
    if arguments.quiet:
        lines = [project for project, *_ in rows]
    elif arguments.format == "json":
        keys = ("Name", "Status", "ConfigFiles")
        lines = [json.dumps([dict(zip(keys, row, strict=True)) for row in rows])]
    else:
        lines = [render_table(("NAME", "STATUS", "CONFIG FILES"), rows)]
    for line in lines:
        context.out.line(line)
    return 0
