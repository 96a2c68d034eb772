"""The tree of a template. `offset` is where in its text a part begins. Pure."""

from typing import Any, NamedTuple, TypeAlias


class Literal(NamedTuple):
    """A constant."""

    value: Any
    offset: int


class Dot(NamedTuple):
    """The current value, and fields of it: `.`, `.Name.First`."""

    path: tuple[str, ...]
    offset: int


class Variable(NamedTuple):
    """`$name.Field`; the name "$" is the value that the template began with."""

    name: str
    path: tuple[str, ...]
    offset: int


class Function(NamedTuple):
    """A function's name."""

    name: str
    offset: int


class Chain(NamedTuple):
    """`(pipeline).Field`."""

    operand: "Operand"
    path: tuple[str, ...]
    offset: int


class Command(NamedTuple):
    """An operand, or a function or method with its arguments."""

    operands: tuple["Operand", ...]
    offset: int


class Pipeline(NamedTuple):
    """Commands, each of which gets the result of the one before as its last argument.

    `variables` take the result: one, or for `range` two. `declares` tells `:=` from `=`.
    """

    commands: tuple[Command, ...]
    variables: tuple[str, ...]
    declares: bool
    offset: int


Operand: TypeAlias = Literal | Dot | Variable | Function | Chain | Pipeline


class Text(NamedTuple):
    """What is written as it stands."""

    text: str


class Action(NamedTuple):
    """A pipeline whose value is written, unless it goes to a variable."""

    pipeline: Pipeline


class If(NamedTuple):
    """`if`, or with `binds` `with`, in whose first branch the dot is the pipeline's value."""

    pipeline: Pipeline
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]
    binds: bool


class Range(NamedTuple):
    """The body once for each element."""

    pipeline: Pipeline
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


class Break(NamedTuple):
    """Leaves the innermost range."""

    offset: int


class Continue(NamedTuple):
    """Goes on with the next element of the innermost range."""

    offset: int


Node: TypeAlias = Text | Action | If | Range | Break | Continue
