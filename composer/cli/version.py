"""`version`: print the release."""

import json
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.version import VERSION


class Arguments(NamedTuple):
    short: bool = False
    format: str = "pretty"


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `version`; the exit code."""
    if arguments.format not in ("pretty", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of pretty, json")
    if arguments.short:
        context.out.line(VERSION)
    elif arguments.format == "json":
        context.out.line(json.dumps({"version": VERSION}))
    else:
        context.out.line(f"pycompose version {VERSION}")
    return 0
