"""Writes man/pycompose.1 from the typer app: `python -m composer.cli.man_generate`. A test compares the two."""

import os
from collections.abc import Iterator
from typing import Any

import typer.main

from composer.cli.app import app
from composer.version import VERSION

PATH = os.path.join(os.path.dirname(__file__), "..", "..", "man", "pycompose.1")

_ENVIRONMENT = (
    ("COMPOSE_FILE, COMPOSE_PATH_SEPARATOR", "Compose files, where no -f is given."),
    ("COMPOSE_PROJECT_NAME", "Name of the project."),
    ("COMPOSE_PROFILES", "Active profiles, with commas between them."),
    ("COMPOSE_ENV_FILES, COMPOSE_DISABLE_ENV_FILE", "Files with variables instead of .env; no .env at all."),
    ("COMPOSE_ANSI, COMPOSE_PROGRESS", "As --ansi and --progress."),
    ("COMPOSE_PARALLEL_LIMIT", "As --parallel."),
    ("COMPOSE_MENU", "As --menu; true if it is not set."),
    ("COMPOSE_STATUS_STDOUT", "Progress goes to standard output."),
    (
        "COMPOSE_REMOVE_ORPHANS, COMPOSE_IGNORE_ORPHANS",
        "Remove containers without a service; say nothing of them.",
    ),
    ("COMPOSE_COMPATIBILITY", "As --compatibility."),
    ("PYCOMPOSE_ROOT, PYCOMPOSE_STATE", "As --root and --state."),
    ("NO_COLOR", "No colours."),
)


def render() -> str:
    """The page as man(7) has it."""
    root: Any = typer.main.get_command(app)
    lines = [
        f'.TH PYCOMPOSE 1 "" "pycompose {VERSION}" "User commands"',
        ".SH NAME",
        "pycompose \\- run the services of a Compose file, without a daemon",
        ".SH SYNOPSIS",
        ".B pycompose",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        _escape(root.help or ""),
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
    ]
    for words, command in _commands(root, ()):
        lines += [f".SS {_escape(' '.join(words))}", f".B {_escape(' '.join(('pycompose', *words)))}"]
        lines += [f"[\\fIOPTIONS\\fR] {_arguments(command)}".rstrip(), ".PP", _escape(command.help or "")]
        lines += _options(command)
    lines.append(".SH ENVIRONMENT")
    for names, text in _ENVIRONMENT:
        lines += [".TP", f".B {names}", _escape(text)]
    lines += [
        ".SH EXIT STATUS",
        "0 if all went well, 1 after an error, 130 after Ctrl-C; exec, run and attach end as their program did.",
        ".SH FILES",
        ".TP", ".I /var/lib/pycompose", "Images, volumes and containers.",
        ".TP", ".I /run/pycompose", "What does not survive a reboot.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _commands(group: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in sorted(group.commands):
        command = group.commands[name]
        words = (*above, name)
        if hasattr(command, "commands"):
            yield from _commands(command, words)
        else:
            yield words, command


def _arguments(command: Any) -> str:
    found = [
        item.metavar or item.name.upper() for item in command.params if item.param_type_name == "argument"
    ]
    return _escape(" ".join(found))


def _options(command: Any) -> Iterator[str]:
    for option in command.params:
        if option.param_type_name != "option" or option.hidden:
            continue
        names = ", ".join((*sorted(option.opts, key=len), *option.secondary_opts))
        value = "" if option.is_flag else f" \\fI{_escape(option.metavar or option.type.name.upper())}\\fR"
        yield ".TP"
        yield f"\\fB{_escape(names)}\\fR{value}"
        yield _escape(option.help or "")


def _escape(text: str) -> str:
    """Text that troff prints as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in text.splitlines())


if __name__ == "__main__":
    os.makedirs(os.path.dirname(PATH), exist_ok=True)
    with open(PATH, "w", encoding="utf-8") as stream:
        stream.write(render())
