"""`ls`: the projects of this machine."""

import json
from collections import Counter
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.formats import check_format, format_list

_HEADINGS = {"Name": "NAME", "Status": "STATUS", "ConfigFiles": "CONFIG FILES"}
_FILES = "com.docker.compose.project.config_files"


class Arguments(NamedTuple):
    all: bool = False
    quiet: bool = False
    format: str = "table"
    filter: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `ls`; the exit code."""
    check_format(arguments.format)
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
        {
            "Name": project,
            "Status": ", ".join(f"{status}({number})" for status, number in sorted(found.items())),
            "ConfigFiles": files[project],
        }
        for project, found in sorted(statuses.items())
    ]
    if arguments.quiet:
        lines = [row["Name"] for row in rows]
    elif arguments.format == "json":
        lines = [json.dumps(rows)]
    else:
        lines = format_list(arguments.format, rows, _HEADINGS, tuple(_HEADINGS))
    for line in lines:
        context.out.line(line)
    return 0
