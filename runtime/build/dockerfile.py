"""The Dockerfile language's lines: directives, continuations, comments, heredocs, flags. Pure.

What each instruction means is `instructions`'; variables are `expand`'s.
Reference: docs.docker.com/reference/dockerfile.
"""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from runtime.errors import InvalidError

_WORDS = """
ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME
WORKDIR
"""
INSTRUCTIONS = frozenset(_WORDS.split())
_WITH_HEREDOCS = frozenset(("ADD", "COPY", "RUN"))
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*\Z")
_DIRECTIVES = frozenset(("syntax", "escape", "check"))
_FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9-]*)(?:=(.*))?\Z", re.DOTALL)
_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<\s]+)\Z")


class DockerfileError(InvalidError):
    """A Dockerfile that cannot be built, with the line it is about."""

    def __init__(self, message: str, line: int = 0, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.line = line


class Heredoc(NamedTuple):
    """A document within an instruction. `expand`: its delimiter was not quoted."""

    name: str
    content: str
    expand: bool
    strip_tabs: bool
    descriptor: str = ""


class Instruction(NamedTuple):
    """One instruction. `text` is what follows name and flags, continued lines joined; `line` counts from 1.

    `spelled` is the name as it was written; `gaps` tells of empty lines between its continued ones.
    """

    name: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    spelled: str = ""
    gaps: bool = False

    @property
    def is_json(self) -> bool:
        return parse_json_form(self.text) is not None

    @property
    def original(self) -> str:
        """As one line, for people."""
        flags = "".join(f" --{name}={value}" if value else f" --{name}" for name, value in self.flags)
        return f"{self.name}{flags} {self.text}".rstrip()


class Dockerfile(NamedTuple):
    """A parsed file; `escape` is \\ or `."""

    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: tuple[tuple[str, str], ...] = ()


def parse_dockerfile(text: str) -> Dockerfile:
    """Raises DockerfileError."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    directives = _parse_directives(lines)
    escape = dict(directives).get("escape", "\\")
    if escape not in ("\\", "`"):
        raise DockerfileError(f"escape={escape}: only \\ and ` can escape", 1)
    instructions = tuple(_Parser(lines, escape).parse())
    if not instructions:
        raise DockerfileError("the Dockerfile is empty", 1)
    return Dockerfile(instructions, escape, directives)


def _parse_directives(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`# name=value` before everything else; the first other line ends them."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith("#!"):
            continue
        match = _DIRECTIVE.match(line.strip())
        if match is None or match[1].lower() not in _DIRECTIVES:
            break
        if match[1].lower() in found:
            raise DockerfileError(f"directive {match[1]} is given twice", number)
        found[match[1].lower()] = match[2]
    return tuple(found.items())


class _Parser:
    def __init__(self, lines: Sequence[str], escape: str) -> None:
        self._lines = lines
        self._at = 0
        self._gaps = False
        mark = re.escape(escape)
        self._continued = re.compile(rf"(?:(?<!{mark})|\A){mark}[ \t]*\Z")
        self._escape = escape

    def parse(self) -> list[Instruction]:
        found = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or line.lstrip().startswith("#"):
                self._at += 1
                continue
            number = self._at + 1
            joined = self._join()
            found.append(self._instruction(joined, number))
        return found

    def _join(self) -> str:
        """One logical line; comments and empty lines within it are left out."""
        first, parts = True, []
        self._gaps = False
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            if not first and (line.lstrip().startswith("#") or not line.strip()):
                self._gaps |= not line.strip()
                continue
            line = line.lstrip() if first else line
            first = False
            match = self._continued.search(line)
            if match is None:
                parts.append(line.rstrip("\n"))
                break
            parts.append(line[: match.start()])
        return "".join(parts).strip()

    def _instruction(self, line: str, number: int) -> Instruction:
        word, _, rest = line.partition(" ") if " " in line else line.partition("\t")
        if "\t" in word:
            word, _, tail = word.partition("\t")
            rest = f"{tail} {rest}"
        name = word.upper()
        if name not in INSTRUCTIONS:
            raise DockerfileError(f"unknown instruction {word}", number, hint=_similar(name))
        flags, text = split_flags(rest.strip())
        heredocs: tuple[Heredoc, ...] = ()
        inner = name
        if name == "ONBUILD":
            inner = text.partition(" ")[0].upper()
        if inner in _WITH_HEREDOCS:
            heredocs = self._read_heredocs(text, number)
        if not text and name not in ("CMD", "ENTRYPOINT", "SHELL"):
            raise DockerfileError(f"{name} has no argument", number)
        return Instruction(name, text, number, flags, heredocs, word, self._gaps)

    def _read_heredocs(self, text: str, number: int) -> tuple[Heredoc, ...]:
        if parse_json_form(text) is not None:
            return ()
        found = []
        for word in split_words(text, self._escape):
            match = _HEREDOC.match(word)
            if match is None:
                continue
            name = match[3]
            bare = name.strip("\"'").replace(self._escape, "")
            if not bare:
                continue
            content = self._read_document(bare, strip_tabs=bool(match[2]), number=number)
            found.append(Heredoc(bare, content, name == bare, bool(match[2]), match[1]))
        return tuple(found)

    def _read_document(self, name: str, *, strip_tabs: bool, number: int) -> str:
        lines: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            self._at += 1
            plain = line.lstrip("\t") if strip_tabs else line
            if plain == name:
                return "".join(f"{item}\n" for item in lines)
            lines.append(plain)
        raise DockerfileError(f"the document <<{name} has no end", number, hint=f"a line with just {name}")


def _similar(name: str) -> str:
    import difflib

    found = difflib.get_close_matches(name, sorted(INSTRUCTIONS), 1)
    return f"did you mean {found[0]}?" if found else ""


def split_flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """`--name=value` words at the beginning, and the rest."""
    flags: list[tuple[str, str]] = []
    while text.startswith("--"):
        word, rest = _first_word(text)
        if word == "--":
            return tuple(flags), rest
        match = _FLAG.match(word)
        if match is None:
            break
        flags.append((match[1], _unquote(match[2] or "")))
        text = rest
    return tuple(flags), text


def _first_word(text: str) -> tuple[str, str]:
    quote = ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            return text[:index], text[index:].lstrip()
    return text, ""


def _unquote(text: str) -> str:
    out, quote = "", ""
    for char in text:
        if quote and char == quote:
            quote = ""
        elif not quote and char in "\"'":
            quote = char
        else:
            out += char
    return out


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Words separated by blanks outside quotes; quotes and escapes stay in them."""
    words: list[str] = []
    word, quote, index = "", "", 0
    while index < len(text):
        char = text[index]
        if char == escape and quote != "'" and index + 1 < len(text):
            word += text[index : index + 2]
            index += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char.isspace():
            if word:
                words.append(word)
            word = ""
            index += 1
            continue
        word += char
        index += 1
    if word:
        words.append(word)
    return words


def parse_json_form(text: str) -> tuple[str, ...] | None:
    """The exec form, a JSON list of strings; None for anything else, which is the shell form."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    return None
