"""`version`: print the release."""

import json
from typing import NamedTuple

from composer.cli.context import Context
from composer.output.formats import check_format, format_object
from composer.version import VERSION


class Arguments(NamedTuple):
    short: bool = False
    format: str = "pretty"


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `version`; the exit code."""
    check_format(arguments.format, ("pretty", "json"))
    document = {"version": VERSION}
    if arguments.short:
        context.out.line(VERSION)
    elif arguments.format == "json":
        context.out.line(json.dumps(document))
    elif arguments.format != "pretty":
        context.out.line(format_object(arguments.format, {**document, "Version": VERSION}))
    else:
        context.out.line(f"pycompose version {VERSION}")
    return 0
