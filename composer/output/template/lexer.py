"""Text of a template -> tokens. Pure."""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from composer.output.template.errors import TemplateError

_SPACES = " \t\r\n"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>"(?:[^"\\\n]|\\[abfnrtvxuU0-7\\"])*")
  | (?P<raw>`[^`]*`)
  | (?P<character>'(?:[^'\\\n]|\\[abfnrtvxuU0-7\\'])+')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
                |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?))
  | (?P<field>\.[^\W\d]\w*)
  | (?P<variable>\$\w*)
  | (?P<word>[^\W\d]\w*)
  | (?P<mark>:=|[.=|(),])
    """,
    re.VERBOSE,
)


class Kind(Enum):
    """What a token is."""

    TEXT = auto()  # between actions
    OPEN = auto()  # {{
    CLOSE = auto()  # }}
    STRING = auto()  # "…" with its quotes
    RAW = auto()  # `…` with its quotes
    CHARACTER = auto()  # '…' with its quotes
    NUMBER = auto()
    FIELD = auto()  # .Name
    VARIABLE = auto()  # $name
    WORD = auto()
    MARK = auto()  # . := = | ( ) ,
    END = auto()


class Token(NamedTuple):
    """One token; `offset` is where it stands, `joined` whether it follows the one before without a space."""

    kind: Kind
    text: str
    offset: int
    joined: bool = False


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a template, the last one an END. Raises TemplateError."""
    position = 0
    trim_start = False
    while True:
        start = text.find("{{", position)
        piece = text[position : start if start >= 0 else len(text)]
        if trim_start:
            piece = piece.lstrip(_SPACES)
        if start < 0:
            if piece:
                yield Token(Kind.TEXT, piece, position)
            yield Token(Kind.END, "", len(text))
            return
        inside = start + 2
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in tuple(_SPACES):
            piece = piece.rstrip(_SPACES)
            inside += 2
        if piece:
            yield Token(Kind.TEXT, piece, position)
        if (comment := _COMMENT.match(text, inside)) is not None:
            position, trim_start = _closed(text, comment.end(), start)
            continue
        yield Token(Kind.OPEN, "{{", start)
        yield from (inner := _Action(text, inside, start)).tokens()
        position, trim_start = inner.end, inner.trims
        yield Token(Kind.CLOSE, "}}", position - 2)


def _closed(text: str, position: int, start: int) -> tuple[int, bool]:
    """Where the action that ends at `position` has its end, and whether it takes the white space after it away."""
    if text.startswith("}}", position):
        return position + 2, False
    if text[position : position + 1] in tuple(_SPACES) and text.startswith("-}}", position + 1):
        return position + 4, True
    raise TemplateError("this comment is not closed by */}}", start)


class _Action:
    """The tokens between {{ and }}; `end` and `trims` are known once they have been read."""

    def __init__(self, text: str, position: int, start: int) -> None:
        self._text = text
        self._position = position
        self._start = start
        self.end = 0
        self.trims = False

    def tokens(self) -> Iterator[Token]:
        joined = False
        text = self._text
        while not text.startswith("}}", self._position):
            if self._position >= len(text):
                raise TemplateError("this {{ has no }}", self._start)
            found = _TOKEN.match(text, self._position)
            if found is None:
                raise TemplateError(f"{text[self._position]!r} has no meaning here", self._position)
            if found.lastgroup == "space":
                if text.startswith("-}}", found.end()):
                    self.trims = True
                    self._position = found.end() + 1
                    break
                joined = False
            else:
                assert found.lastgroup is not None
                yield Token(Kind[found.lastgroup.upper()], found.group(), self._position, joined)
                joined = True
            self._position = found.end()
        self.end = self._position + 2
