"""The functions of templates: Go's own and those that the reference adds. Pure.

`and` and `or` are the evaluator's, because they do not look at what comes after the answer is known.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from composer.output.template.errors import TemplateError
from composer.output.template.printing import join, printf, to_json
from composer.output.template.values import MISSING, is_true, kind

_MOST_SPACES = 10_000


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise TemplateError(f"{kind(key)} is no key of a map")
            value = value[key] if key in value else _zero(value)
        elif isinstance(value, str | list | tuple):
            number = _whole(key)
            size = len(value)
            if not 0 <= number < size:
                raise TemplateError(f"there is no element {number}, only {size}")
            value = value.encode()[number] if isinstance(value, str) else value[number]
        else:
            raise TemplateError(f"{kind(value)} has no elements")
    return value


def _zero(value: Mapping[str, Any]) -> Any:
    """What a map gives for a key that it does not have: the empty value of the kind that the others are of."""
    example = next(iter(value.values()), "")
    for types, empty in ((bool, False), (int, 0), (str, ""), (list, [])):
        if isinstance(example, types):
            return empty
    return None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"{kind(value)} where a whole number is expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"{kind(value)} where a text is expected")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise TemplateError(f"{kind(value)} has no parts")
    start, end = (*map(_whole, bounds), *(0, len(value))[len(bounds) :])[:2]
    if not 0 <= start <= end <= len(value):
        raise TemplateError(f"{start} to {end} is outside of 0 to {len(value)}")
    return value[start:end]


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if not isinstance(value, list | tuple | dict):
        raise TemplateError(f"{kind(value)} has no length")
    return len(value)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("something to compare with is missing")
    return any(_same(first, other) for other in others)


def _same(first: Any, second: Any) -> bool:
    if first in (None, MISSING) or second in (None, MISSING):
        return first in (None, MISSING) and second in (None, MISSING)
    _comparable(first, second)
    return bool(first == second)


def _less(first: Any, second: Any) -> bool:
    _comparable(first, second)
    if isinstance(first, bool) or not isinstance(first, str | int | float):
        raise TemplateError(f"{kind(first)} has no order")
    return bool(first < second)


def _comparable(first: Any, second: Any) -> None:
    for value in (first, second):
        if isinstance(value, list | tuple | dict):
            raise TemplateError(f"{kind(value)} cannot be compared")
    if type(first) is not type(second):
        raise TemplateError(f"{kind(first)} cannot be compared with {kind(second)}")


def _joined(parts: Any, separator: Any) -> str:
    if not isinstance(parts, list | tuple):
        raise TemplateError(f"{kind(parts)} where a list of texts is expected")
    return _text(separator).join(map(_text, parts))


def _split(value: Any, separator: Any) -> list[str]:
    return _text(value).split(separator) if _text(separator) else list(value)


def _title(value: Any) -> str:
    """A capital after each space; the other letters stay as they are."""
    text = _text(value)
    return "".join(
        letter.upper() if not number or text[number - 1].isspace() else letter
        for number, letter in enumerate(text)
    )


def _padded(value: Any, before: Any, after: Any) -> str:
    text = _text(value)
    spaces = [" " * min(max(0, _whole(number)), _MOST_SPACES) for number in (before, after)]
    return f"{spaces[0]}{text}{spaces[1]}" if text else text


# name -> the function and how many arguments it takes, -1: any number from the first on.
FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "and": (lambda *values: values[-1], 1, -1),
    "or": (lambda *values: values[-1], 1, -1),
    "not": (lambda value: not is_true(value), 1, 1),
    "len": (_length, 1, 1),
    "index": (_index, 1, -1),
    "slice": (_slice, 1, 3),
    "print": (lambda *values: join(values), 0, -1),
    "println": (lambda *values: " ".join(join((value,)) for value in values) + "\n", 0, -1),
    "printf": (lambda layout, *values: printf(_text(layout), values), 1, -1),
    "urlquery": (lambda *values: quote_plus(join(values), safe="~"), 0, -1),
    "eq": (_equal, 2, -1),
    "ne": (lambda first, second: not _same(first, second), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda first, second: _less(first, second) or _same(first, second), 2, 2),
    "gt": (lambda first, second: not (_less(first, second) or _same(first, second)), 2, 2),
    "ge": (lambda first, second: not _less(first, second), 2, 2),
    "json": (to_json, 1, 1),
    "split": (_split, 2, 2),
    "join": (_joined, 2, 2),
    "title": (_title, 1, 1),
    "lower": (lambda value: _text(value).lower(), 1, 1),
    "upper": (lambda value: _text(value).upper(), 1, 1),
    "pad": (_padded, 3, 3),
    "truncate": (lambda value, length: _text(value)[: max(0, _whole(length))], 2, 2),
}


def call(name: str, arguments: Sequence[Any]) -> Any:
    """The value of a function. Raises TemplateError."""
    function, least, most = FUNCTIONS[name]
    if len(arguments) < least or len(arguments) > most >= 0:
        number = str(least) if least == most else f"{least} or more" if most < 0 else f"{least} to {most}"
        raise TemplateError(f"{name} takes {number} arguments, not {len(arguments)}")
    return function(*arguments)
