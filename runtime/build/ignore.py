""".dockerignore and `--exclude`: which files of a context do not exist for a build. Pure.

The rules are moby's patternmatcher: patterns are cleaned paths from the context's root, `**` is any number of
folders, `!` takes files back in, the last line that matches decides, and a folder's match counts for all below it. A
line that takes back in is not compared with a folder that is not left out, and then does not count below it either.
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
        self._folders: dict[str, tuple[bool, ...]] = {"": (False,) * len(self.patterns)}

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def excludes(self, path: str) -> bool:
        """Whether a file or folder is left out."""
        excluded = False
        for pattern, matches in zip(self.patterns, self._matches(path), strict=True):
            if matches:
                excluded = not pattern.negated
        return excluded

    def _matches(self, path: str) -> tuple[bool, ...]:
        """Which of the patterns count for a path, itself or by a folder above it."""
        folder = path.rpartition("/")[0]
        above = self._folders.get(folder)
        if above is None:
            above = self._folders[folder] = self._matches(folder)
        excluded, found = False, []
        for pattern, matches in zip(self.patterns, above, strict=True):
            if not matches and pattern.negated == excluded:
                matches = pattern.expression.match(path) is not None
            if matches:
                excluded = not pattern.negated
            found.append(matches)
        return tuple(found)


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
            body = re.sub(r"[\\\[&|~]", r"\\\g<0>", pattern[index + 1 : close])
            out += f"[{'^' + body[1:] if body.startswith('^') else body}]"
            index = close
        elif char == "\\" and index + 1 < len(pattern):
            index += 1
            out += re.escape(pattern[index])
        else:
            out += re.escape(char)
        index += 1
    return out
