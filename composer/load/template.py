"""Variables in text: $NAME, ${NAME}, ${NAME:-default} and their kin (Compose spec 12-interpolation). Pure."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_DEPTH = 50
_MAX_LENGTH = 4 * 2**20  # variables that name variables double with every line
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")

Lookup = Callable[[str], str | None]


class TemplateError(ValueError):
    """A malformed reference, or a required variable without a value. `variable` is its name if known."""

    def __init__(self, message: str, variable: str = "") -> None:
        super().__init__(message)
        self.variable = variable


def substitute(text: str, lookup: Lookup, on_unset: Callable[[str], None], depth: int = 0) -> str:
    """`text` with every reference replaced; `on_unset` is told of variables that became blank.

    `$$` is a dollar sign, a dollar before anything else than a name or a brace stays. As in the reference, the
    default of a variable is evaluated even where it is not needed. `depth` is the number of braces around the text.
    Raises TemplateError.
    """
    if depth > _MAX_DEPTH:
        raise TemplateError(f"references are nested more than {_MAX_DEPTH} deep")
    out: list[str] = []
    position = 0
    for start, end, body in _references(text):
        out.append(text[position:start])
        out.append(_evaluate(body, lookup, on_unset, depth) if body else "$")
        position = end
    if position == 0:
        return text
    out.append(text[position:])
    if sum(map(len, out)) > _MAX_LENGTH:
        raise TemplateError(
            f"the text has more than {_MAX_LENGTH} characters once its variables are replaced"
        )
    return "".join(out)


class Variable(NamedTuple):
    """A variable that a text names, with the texts beside it."""

    name: str
    default: str = ""
    alternate: str = ""
    required: bool = False


def find_variables(text: str, depth: int = 0) -> Iterator[Variable]:
    """Every variable that a text names, those in defaults too. Raises TemplateError."""
    if depth > _MAX_DEPTH:
        raise TemplateError(f"references are nested more than {_MAX_DEPTH} deep")
    for _, _, body in _references(text):
        if body:
            name, operator, word = _split(body)
            kind = operator[-1:]
            yield Variable(name, word if kind == "-" else "", word if kind == "+" else "", kind == "?")
            yield from find_variables(word, depth + 1)


def _references(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what is in the braces) of each reference; "" in the braces = a dollar sign. Raises TemplateError."""
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        following = text[dollar + 1 : dollar + 2]
        body = ""
        position = dollar + 1
        if following == "$":
            position = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 1)
            body = text[dollar + 2 : end]
            if not body:
                raise TemplateError("${} does not start with the name of a variable")
            position = end + 1
        elif name := _NAME.match(text, dollar + 1):
            body, position = name.group(), name.end()
        yield dollar, position, body


def _closing_brace(text: str, opening: int) -> int:
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise TemplateError(f"a closing brace is missing in {text[opening - 1 :]!r}")


def _plain(name: str, lookup: Lookup, on_unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        on_unset(name)
        return ""
    return value


def _split(body: str) -> tuple[str, str, str]:
    """Name, operator and what follows it. Raises TemplateError."""
    name = _NAME.match(body)
    if name is None:
        raise TemplateError(f"${{{body}}} does not start with the name of a variable")
    variable, rest = name.group(), body[name.end() :]
    operator = next((o for o in _OPERATORS if rest.startswith(o)), "")
    if rest and not operator:
        raise TemplateError(f"${{{body}}} is malformed after the name {variable}", variable)
    return variable, operator, rest[len(operator) :]


def _evaluate(body: str, lookup: Lookup, on_unset: Callable[[str], None], depth: int) -> str:
    variable, operator, text = _split(body)
    if not operator:
        return _plain(variable, lookup, on_unset)
    word = substitute(text, lookup, on_unset, depth + 1)
    value = lookup(variable)
    present = value is not None and (operator[0] != ":" or value != "")
    if operator[-1] == "+":
        return word if present else ""
    if present:
        return value or ""
    if operator[-1] == "-":
        return word
    raise TemplateError(
        f"the required variable {variable} has no value" + (f": {word}" if word else ""), variable
    )
