"""Variables in Dockerfile instructions: $NAME, ${NAME:-word} and the other forms, quotes and escapes. Pure."""

import re
from collections.abc import Callable, Mapping

from runtime.build.dockerfile import DockerfileError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")


def expand(text: str, variables: Mapping[str, str], escape: str = "\\", line: int = 0) -> str:
    """One word with its quotes taken off and its variables filled in; an unknown one is empty.

    Raises DockerfileError for an unclosed quote or brace, and for ${NAME:?message}.
    """
    return _Expander(text, variables, escape, line).run()


def expand_words(text: str, variables: Mapping[str, str], escape: str = "\\", line: int = 0) -> list[str]:
    """Several words: what a variable brings outside quotes may be more than one of them."""
    expander = _Expander(text, variables, escape, line, split=True)
    whole = expander.run()
    return [*expander.words, whole] if whole or expander.open_word else expander.words


def expand_document(text: str, variables: Mapping[str, str], escape: str = "\\", line: int = 0) -> str:
    """A heredoc: variables are filled in, quotes stay."""
    return _Expander(text, variables, escape, line, keep_quotes=True).run()


class _Expander:
    def __init__(
        self,
        text: str,
        variables: Mapping[str, str],
        escape: str,
        line: int,
        *,
        split: bool = False,
        keep_quotes: bool = False,
    ) -> None:
        self._text = text
        self._at = 0
        self._variables = variables
        self._escape = escape
        self._line = line
        self._split = split
        self._keep_quotes = keep_quotes
        self.words: list[str] = []
        self.open_word = False
        self._out = ""

    def run(self) -> str:
        self._read("")
        return self._out

    def _read(self, end: str) -> None:
        """Up to an unquoted character of `end`, which is passed over, or the end of the text."""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in end and end:
                self._at += 1
                return
            if char == "'" and not self._keep_quotes:
                self._single()
            elif char == '"' and not self._keep_quotes:
                self._double()
            elif char == "$":
                self._add(self._dollar(), from_variable=True)
            elif char == self._escape:
                self._escaped()
            elif self._split and char.isspace() and not end:
                self._at += 1
                self._end_word()
            else:
                self._at += 1
                self._add(char)
        if end:
            raise self._error(f"{end!r} is missing in {self._text!r}")

    def _add(self, text: str, *, from_variable: bool = False) -> None:
        if self._split and from_variable and any(char.isspace() for char in text):
            parts = re.split(r"(\s+)", text)
            for part in parts:
                if part.isspace():
                    self._end_word()
                elif part:
                    self._out += part
            return
        self._out += text

    def _end_word(self) -> None:
        if self._out or self.open_word:
            self.words.append(self._out)
        self._out, self.open_word = "", False

    def _single(self) -> None:
        close = self._text.find("'", self._at + 1)
        if close < 0:
            raise self._error(f"a ' is not closed in {self._text!r}")
        self._out += self._text[self._at + 1 : close]
        self.open_word = True
        self._at = close + 1

    def _double(self) -> None:
        self._at += 1
        self.open_word = True
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char == "$":
                self._out += self._dollar()
            elif char == self._escape and self._at + 1 < len(self._text):
                following = self._text[self._at + 1]
                # Within quotes only these lose their escape.
                self._out += following if following in f'"${self._escape}' else char + following
                self._at += 2
            else:
                self._out += char
                self._at += 1
        raise self._error(f'a " is not closed in {self._text!r}')

    def _escaped(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if self._keep_quotes and following not in ("$", self._escape):
            self._out += self._escape
        self._out += following

    def _dollar(self) -> str:
        self._at += 1
        if self._text[self._at : self._at + 1] == "{":
            self._at += 1
            return self._braces()
        match = _NAME.match(self._text, self._at)
        if match is None:
            return "$"
        self._at = match.end()
        return self._variables.get(match[0], "")

    def _braces(self) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            raise self._error(f"there is no name after ${{ in {self._text!r}")
        name, self._at = match[0], match.end()
        rest = self._text[self._at :]
        for operator in ("}", ":-", ":+", ":?", "-", "+", "?", "##", "#", "%%", "%", "//", "/"):
            if rest.startswith(operator):
                self._at += len(operator)
                return self._apply(name, operator)
        raise self._error(f"${{{name}…}} is closed wrongly or has an unknown operator in {self._text!r}")

    def _apply(self, name: str, operator: str) -> str:
        value = self._variables.get(name)
        if operator == "}":
            return value or ""
        if operator in ("/", "//"):
            pattern, replacement = self._word("/}"), ""
            if self._text[self._at - 1] == "/":
                replacement = self._word("}")
            found = re.compile(glob_pattern(pattern, self._escape, greedy=True), re.DOTALL)
            return found.sub(lambda _: replacement, value or "", count=0 if operator == "//" else 1)
        word = self._word("}")
        there = value is not None and (value != "" or not operator.startswith(":"))
        if operator.endswith("-"):
            return value or "" if there else word
        if operator.endswith("+"):
            return word if there else ""
        if operator.endswith("?"):
            if not there:
                raise self._error(f"{name}: {word or 'it is not set'}")
            return value or ""
        return _trim(value or "", word, operator, self._escape)

    def _word(self, end: str) -> str:
        """The rest within braces, itself expanded."""
        outer, self._out = self._out, ""
        split, self._split = self._split, False
        self._read(end)
        word, self._out, self._split = self._out, outer, split
        return word

    def _error(self, message: str) -> DockerfileError:
        return DockerfileError(message, self._line)


def _trim(value: str, pattern: str, operator: str, escape: str) -> str:
    greedy = len(operator) == 2
    if operator[0] == "#":
        match = re.match(glob_pattern(pattern, escape, greedy=greedy), value, re.DOTALL)
        return value[match.end() :] if match else value
    expression = re.compile(glob_pattern(pattern, escape, greedy=True) + r"\Z", re.DOTALL)
    places = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    for start in places:
        if expression.match(value, start):
            return value[:start]
    return value


def glob_pattern(pattern: str, escape: str, *, greedy: bool) -> str:
    """A regular expression for a pattern with * and ?."""
    many: Mapping[str, str] = {"*": ".*" if greedy else ".*?", "?": "."}
    out, index = "", 0
    quote: Callable[[str], str] = re.escape
    while index < len(pattern):
        char = pattern[index]
        if char == escape and index + 1 < len(pattern):
            index += 1
            out += quote(pattern[index])
        else:
            out += many.get(char) or quote(char)
        index += 1
    return out
