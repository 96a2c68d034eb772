""".dockerignore and `--exclude`: which files of a context do not exist for a build. Pure.

The rules are moby's patternmatcher: patterns are cleaned paths from the context's root, `**` is any number of
folders, `!` takes files back in, the last line that matches decides, and a folder's match counts for all below it.
"""

import re
from collections.abc import Iterable
from posixpath import normpath
from typing import NamedTuple

from runtime.errors import InvalidError


class Pattern(NamedTuple):
    """One line. `negated`: it takes back in."""

    text: str
    negated: bool
    expression: "re.Pattern[str]"


class Matcher:
    """Decides about paths relative to the root, without a leading slash."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(_parse(text) for text in patterns if text not in ("", "."))
        self.has_exceptions = any(pattern.negated for pattern in self.patterns)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def excludes(self, path: str) -> bool:
        """Whether a file or folder is left out."""
        excluded = False
        parts = path.split("/")
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        for pattern in self.patterns:
            if pattern.negated != excluded:
                continue
            if any(pattern.expression.match(prefix) for prefix in prefixes):
                excluded = not excluded
        return excluded


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """The patterns of a .dockerignore."""
    found = []
    for line in text.removeprefix("\ufeff").splitlines():
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        negated = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        pattern = normpath(pattern).lstrip("/") if pattern else ""
        if pattern not in ("", "."):
            found.append(("!" if negated else "") + pattern)
    return tuple(found)


def _parse(text: str) -> Pattern:
    negated = text.startswith("!")
    plain = text.removeprefix("!").strip().lstrip("/")
    if not plain:
        raise InvalidError(f"{text!r} is not a pattern of files")
    return Pattern(plain, negated, re.compile(translate(plain) + r"\Z", re.DOTALL))


def translate(pattern: str) -> str:
    """A regular expression for a path pattern: *, ?, [..], \\ and **."""
    out, index = "", 0
    while index < len(pattern):
        char = pattern[index]
        if pattern.startswith("**", index):
            index += 2
            if pattern.startswith("/", index):
                index += 1
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and (close := pattern.find("]", index + 2)) > 0:
            body = pattern[index + 1 : close].replace("\\", "\\\\")
            out += f"[{'^' + body[1:] if body.startswith('^') else body}]"
            index = close
        elif char == "\\" and index + 1 < len(pattern):
            index += 1
            out += re.escape(pattern[index])
        else:
            out += re.escape(char)
        index += 1
    return out
