"""The values that templates work on. Pure.

Python's bool, int, float, str, list and tuple stand for Go's; None is a nil pointer, a dict a map, a Record a struct.
"""

from collections.abc import Collection, Mapping
from typing import Any


class Record(dict[str, Any]):
    """A struct: asking for a field that it does not have is an error, but for `empty` ones, which are nil.

    A callable field is a method.
    """

    __slots__ = ("empty",)

    def __init__(self, fields: Mapping[str, Any], empty: Collection[str] = ()) -> None:
        super().__init__(fields)
        self.empty = empty


class Missing:
    """What a map does not have."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


class NilList(list[Any]):
    """A slice that was never made: prints as an empty one, and is `null` in JSON."""

    __slots__ = ()


NIL_LIST = NilList()


def is_true(value: Any) -> bool:
    """Whether `if` takes its first branch: not for false, 0, nil and what is empty; a struct always counts."""
    return isinstance(value, Record) or bool(value)


def kind(value: Any) -> str:
    """A value's type as a user would call it."""
    if value is None or value is MISSING:
        return "nothing"
    if isinstance(value, Record):
        return "an object"
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a text"),
        (dict, "a map"),
        ((list, tuple), "a list"),
    )
    return next((word for types, word in kinds if isinstance(value, types)), "a function")
