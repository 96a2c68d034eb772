"""The syntax of .env and env_file (Compose spec 05-services: env_file format). Pure: text in, pairs out."""

import re
from collections.abc import Callable
from typing import NamedTuple

from composer.load.template import TemplateError, substitute

_KEY = re.compile(r"[A-Za-z0-9_.\-\[\]]+")
_ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "$": "$",
    '"': '"',
    "\\": "\\",
}


_MAX_LENGTH = 32 * 2**20  # of all values: each may name the one before


class DotenvError(ValueError):
    """A line that cannot be read; `line` starts at 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Pairs(NamedTuple):
    """What a file gives: values by name, and the line of each."""

    values: dict[str, str]
    lines: dict[str, int]


def parse_dotenv(text: str, lookup: Callable[[str], str | None]) -> Pairs:
    """Variables of a dotenv file, in order; the last of equal keys wins.

    `lookup` answers for variables from outside, which win over the file's own in references. A key without `=` is
    taken from outside and left out if unset there. Raises DotenvError.
    """
    return _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lookup).read()


def parse_raw(text: str, lookup: Callable[[str], str | None]) -> Pairs:
    """env_file with `format: raw`: KEY=VALUE per line, taken as it stands; a bare key is taken from outside."""
    found = Pairs({}, {})
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not key or any(c.isspace() for c in key):
            raise DotenvError(f"{key!r} is not the name of a variable", number)
        taken = value if equals else lookup(key)
        if taken is not None:
            found.values[key], found.lines[key] = taken, number
        elif key in found.values:
            del found.values[key]
    return found


class _Reader:
    def __init__(self, text: str, lookup: Callable[[str], str | None]) -> None:
        self.text = text
        self.position = 0
        self.outside = lookup
        self.values: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self._length = 0
        self._counted = (0, 1)  # a position and its line

    def line(self, position: int) -> int:
        """Positions mostly grow: what has been counted is not counted again."""
        start, line = self._counted if position >= self._counted[0] else (0, 1)
        self._counted = (position, line + self.text.count("\n", start, position))
        return self._counted[1]

    def read(self) -> Pairs:
        while self._skip_to_statement():
            self._statement()
        return Pairs(self.values, self.lines)

    def _skip_to_statement(self) -> bool:
        text, size = self.text, len(self.text)
        while self.position < size:
            if text[self.position].isspace():
                self.position += 1
            elif text[self.position] == "#":
                end = text.find("\n", self.position)
                self.position = size if end < 0 else end
            else:
                return True
        return False

    def _statement(self) -> None:
        start = self.position
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        prefix = re.compile(r"export[ \t]+").match(self.text, start, end)
        if prefix:
            start = prefix.end()
        key = _KEY.match(self.text, start, end)
        rest = (key.end() if key else start) - start
        position = start + rest
        while position < end and self.text[position] in " \t":
            position += 1
        if key is None:
            raise DotenvError(
                f"unexpected {self.text[start : start + 1]!r} in the name of a variable", self.line(start)
            )
        if position >= end:
            self.position = end
            value = self.outside(key.group())
            if value is not None:
                self._set(key.group(), value, start)
            return
        if self.text[position] not in "=:":
            if position > key.end():
                raise DotenvError("the name of a variable cannot contain a space", self.line(start))
            shown = self.text[position]
            raise DotenvError(f"unexpected {shown!r} in the name of a variable", self.line(start))
        self._value(key.group(), position + 1, end)

    def _value(self, key: str, position: int, end: int) -> None:
        while position < end and self.text[position] in " \t":
            position += 1
        quote = self.text[position : position + 1]
        if position < end and quote in "'\"":
            closing = self._closing_quote(quote, position + 1)
            raw = self.text[position + 1 : closing]
            self.position = self._after_quote(closing + 1)
            value = raw if quote == "'" else self._expand(_unescape(raw), position)
            self._set(key, value, position)
            return
        raw = self.text[position:end]
        comment = re.search(r"(^|\s)#", raw)
        if comment:
            raw = raw[: comment.start()]
        self.position = end
        self._set(key, self._expand(raw.rstrip(), position), position)

    def _set(self, key: str, value: str, position: int) -> None:
        self._length += len(value)
        if self._length > _MAX_LENGTH:
            raise DotenvError(f"the values have more than {_MAX_LENGTH} characters", self.line(position))
        self.values[key] = value
        self.lines[key] = self.line(position)

    def _closing_quote(self, quote: str, position: int) -> int:
        index = position
        while index < len(self.text):
            if self.text[index] == "\\" and quote == '"':
                index += 2
                continue
            if self.text[index] == quote and not (quote == "'" and self.text[index - 1] == "\\"):
                return index
            index += 1
        first = self.text[position - 1 :].split("\n")[0]
        raise DotenvError(f"the quoted value {first} has no end", self.line(position))

    def _after_quote(self, position: int) -> int:
        end = self.text.find("\n", position)
        end = len(self.text) if end < 0 else end
        rest = self.text[position:end].strip()
        if rest and not rest.startswith("#"):
            return position
        return end

    def _expand(self, text: str, position: int) -> str:
        try:
            return substitute(text, self._lookup, lambda name: None)
        except TemplateError as error:
            raise DotenvError(str(error), self.line(position)) from None

    def _lookup(self, name: str) -> str | None:
        value = self.outside(name)
        return self.values.get(name) if value is None else value


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        character = match.group(1)
        if character == "$":
            return "$$"  # a dollar that is no reference
        return _ESCAPES.get(character, "\\" + character)

    return re.sub(r"\\(.)", replace, text)
