"""Parses a command line by a table of options. Small, because engines start this command eight times per container.

Options are "--name value", "--name=value", "-n value", "-nvalue"; flags may be written "--flag=true" too, as Go
programs do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from runtime.errors import InvalidError

FLAG, VALUE, LIST = "flag", "value", "list"


class Option(NamedTuple):
    """One option: what it takes, what it does in a few words, and a one-letter form."""

    kind: str
    help: str
    short: str = ""


Table = Mapping[str, Option]


class Parsed:
    """What was given. An option that was not is "", False or empty."""

    __slots__ = ("_given", "_table", "arguments")

    def __init__(self, table: Table) -> None:
        self._table = table
        self._given: dict[str, list[str]] = {}
        self.arguments: list[str] = []

    def text(self, name: str) -> str:
        """The value of an option, the last if it was given twice."""
        return self._given[name][-1] if name in self._given else ""

    def texts(self, name: str) -> list[str]:
        """All values of an option."""
        return self._given.get(name, [])

    def flag(self, name: str) -> bool:
        """Whether a flag was given (and not as "=false")."""
        return name in self._given and self._given[name][-1].lower() not in ("false", "0", "no")

    def number(self, name: str) -> int | None:
        """An option's value as a number; None if it was not given. Raises InvalidError."""
        if name not in self._given:
            return None
        try:
            return int(self.text(name), 0)
        except ValueError:
            raise InvalidError(f"--{name} {self.text(name)!r} is not a number") from None

    def given(self, name: str) -> bool:
        """Whether it was given at all."""
        return name in self._given

    def _add(self, name: str, value: str) -> None:
        self._given.setdefault(name, []).append(value)


def parse(words: Sequence[str], table: Table, *, in_order: bool = False) -> Parsed:
    """Options and arguments apart. With `in_order` everything from the first argument on is an argument.

    Raises InvalidError for an unknown option or a missing value.
    """
    parsed = Parsed(table)
    shorts = {option.short: name for name, option in table.items() if option.short}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            parsed.arguments += words[position:]
            break
        if not word.startswith("-") or word == "-":
            if in_order:
                parsed.arguments += words[position - 1 :]
                break
            parsed.arguments.append(word)
            continue
        name, value, inline = _split(word, table, shorts)
        if table[name].kind == FLAG:
            parsed._add(name, value if inline else "true")
        elif inline:
            parsed._add(name, value)
        elif position < len(words):
            parsed._add(name, words[position])
            position += 1
        else:
            raise InvalidError(f"option {word} needs a value")
    return parsed


def _split(word: str, table: Table, shorts: Mapping[str, str]) -> tuple[str, str, bool]:
    """(long name, value, whether the value was part of the word). A long name may have one dash, as in Go."""
    name, equals, value = word.lstrip("-").partition("=")
    if name in table and (word.startswith("--") or len(name) > 1):
        return name, value, bool(equals)
    if not word.startswith("--") and word[1] in shorts:
        rest = word[2:]
        return shorts[word[1]], rest.removeprefix("="), bool(rest)
    raise InvalidError(f"unknown option {word}", hint="--help lists those that are known")


def describe(table: Table) -> str:
    """The options as lines of a help text."""
    lines = []
    for name, option in table.items():
        long = f"--{name}" + ("" if option.kind == FLAG else f" {name.rpartition('-')[2].upper()}")
        lines.append(f"  {f'-{option.short},' if option.short else '   '} {long:30} {option.help}")
    return "\n".join(lines)
