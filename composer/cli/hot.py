"""Parses the hot commands without typer, from a table that is generated from the typer app.

Whatever is not plainly right (help, an unknown option, a missing value) is left to typer, which says so.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from composer.cli.hot_table import COMMANDS, GLOBAL

# Values of a switch that scripts write; `flags` has all.
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Parsed(NamedTuple):
    """A hot command with its parameters, only those that were given."""

    command: str
    options: dict[str, Any]
    parameters: dict[str, Any]


class _NotPlain(Exception):
    """For typer to handle."""


def parse(words: Sequence[str]) -> Parsed | None:
    """The command line `words` (without the program's name); None where typer has to look at it."""
    try:
        options, rest = _parse_options(GLOBAL, list(words), stop_at_argument=True)
        if not rest or rest[0] not in COMMANDS:
            return None
        command = COMMANDS[rest[0]]
        parameters, arguments = _parse_options(
            command["options"], rest[1:], stop_at_argument=not command["interspersed"]
        )
        parameters.update(_assign(command["arguments"], arguments))
    except _NotPlain:
        return None
    return Parsed(rest[0], options, parameters)


def _parse_options(
    table: dict[str, tuple[str, str]], words: list[str], *, stop_at_argument: bool
) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    arguments: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            return found, [*arguments, *words[position:]]
        if not word.startswith("-") or word == "-":
            if stop_at_argument:
                return found, [*arguments, *words[position - 1 :]]
            arguments.append(word)
            continue
        for name, value in _expand(table, word):
            destination, kind = table[name]
            if kind == "flag":
                if value is not None and value not in _TRUTH:
                    raise _NotPlain
                found[destination] = value is None or _TRUTH[value]
                continue
            if value is None:
                if position == len(words):
                    raise _NotPlain
                value = words[position]
                position += 1
            _store(found, destination, kind, value)
    return found, arguments


def _expand(table: dict[str, tuple[str, str]], word: str) -> list[tuple[str, str | None]]:
    """`--name=value`, `-fvalue` and `-ab` as single options with the value that is in the same word."""
    if word.startswith("--"):
        name, separator, value = word.partition("=")
        if name not in table:
            raise _NotPlain
        return [(name, value if separator else None)]
    options: list[tuple[str, str | None]] = []
    for index, letter in enumerate(word[1:], 1):
        name = f"-{letter}"
        if name not in table:
            raise _NotPlain
        if table[name][1] == "flag":
            options.append((name, None))
            continue
        rest = word[index + 1 :]
        options.append((name, rest or None))
        break
    return options


def _store(found: dict[str, Any], destination: str, kind: str, value: str) -> None:
    if kind == "list":
        found[destination] = (*found.get(destination, ()), value)
    elif kind == "int":
        if not value.isdigit():
            raise _NotPlain
        found[destination] = int(value)
    else:
        found[destination] = value


def _assign(names: tuple[tuple[str, bool], ...], arguments: list[str]) -> dict[str, Any]:
    assigned: dict[str, Any] = {}
    rest = arguments
    for name, many in names:
        if many:
            assigned[name] = tuple(rest)
            rest = []
        elif rest:
            assigned[name], rest = rest[0], rest[1:]
    if rest:
        raise _NotPlain
    return assigned
