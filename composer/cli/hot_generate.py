"""Writes hot_table.py from the typer app: `python -m composer.cli.hot_generate`. A test checks that it is current."""

import os
import pprint
from typing import Any

import typer.main

from composer.cli.app import app

HOT = (
    "up",
    "down",
    "ps",
    "logs",
    "exec",
    "run",
    "start",
    "stop",
    "restart",
    "kill",
    "build",
    "config",
    "version",
)
_HEAD = '''"""Options of the hot commands. Generated from `app` by `python -m composer.cli.hot_generate`; do not edit.

Option -> (parameter, "flag" | "str" | "int" | "list"); arguments -> (parameter, takes all that is left).
"""

from typing import Any

'''


def build_table() -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """The global options and the hot commands, as hot_table.py has them."""
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    return _options(group), {
        name: {
            "options": _options(commands[name]),
            "arguments": tuple(
                (parameter.name, parameter.nargs == -1)
                for parameter in commands[name].params
                if parameter.param_type_name == "argument"
            ),
            "interspersed": commands[name].context_settings.get("allow_interspersed_args", True),
        }
        for name in HOT
    }


def _options(command: Any) -> dict[str, tuple[str, str]]:
    table = {}
    for parameter in command.params:
        if parameter.param_type_name != "option" or not parameter.expose_value or parameter.is_eager:
            continue
        kind = "str"
        if parameter.is_flag:
            kind = "flag"
        elif parameter.multiple:
            kind = "list"
        elif parameter.type.name.startswith("int"):
            kind = "int"
        for option in parameter.opts:
            table[option] = (str(parameter.name), kind)
    return table


def render() -> str:
    """The text of hot_table.py."""
    options, commands = build_table()
    return (
        f"{_HEAD}GLOBAL: dict[str, tuple[str, str]] = {_format(options)}\n\n"
        f"COMMANDS: dict[str, dict[str, Any]] = {_format(commands)}\n"
    )


def _format(value: Any) -> str:
    return pprint.pformat(value, width=110, sort_dicts=False)


if __name__ == "__main__":
    with open(os.path.join(os.path.dirname(__file__), "hot_table.py"), "w") as stream:
        stream.write(render())
