"""A template's tree and a value -> text. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from composer.output.template import functions
from composer.output.template.errors import TemplateError
from composer.output.template.nodes import (
    Action,
    Break,
    Chain,
    Command,
    Continue,
    Dot,
    Function,
    If,
    Literal,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
)
from composer.output.template.printing import text
from composer.output.template.values import MISSING, Record, is_true, kind

_MOST_OUTPUT = 16 * 2**20  # characters; ranges within ranges over long lists grow fast

Call = Callable[[str, Sequence[Any]], Any]


def render(nodes: Sequence[Node], value: Any, call: Call = functions.call) -> str:
    """What a template makes of `value`. `call` stands in for the functions. Raises TemplateError."""
    evaluator = _Evaluator(value, call)
    evaluator.walk(nodes, value)
    return "".join(evaluator.out)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Evaluator:
    def __init__(self, value: Any, call: Call) -> None:
        self.out: list[str] = []
        self._length = 0
        self._call = call
        self._variables: list[tuple[str, Any]] = [("$", value)]

    def walk(self, nodes: Iterable[Node], dot: Any) -> None:
        known = len(self._variables)
        try:
            for node in nodes:
                self._node(node, dot)
        finally:
            del self._variables[known:]

    def _node(self, node: Node, dot: Any) -> None:
        match node:
            case Text(written):
                self._write(written)
            case Action(pipeline):
                value = self._pipeline(pipeline, dot)
                if not pipeline.variables:
                    self._write(text(value))
            case If(pipeline, body, otherwise, binds):
                known = len(self._variables)
                value = self._pipeline(pipeline, dot)
                if is_true(value):
                    self.walk(body, value if binds else dot)
                else:
                    self.walk(otherwise, dot)
                del self._variables[known:]
            case Range():
                self._range(node, dot)
            case Break():
                raise _Break
            case Continue():
                raise _Continue

    def _write(self, written: str) -> None:
        self._length += len(written)
        if self._length > _MOST_OUTPUT:
            raise TemplateError(f"the output has more than {_MOST_OUTPUT} characters")
        self.out.append(written)

    def _range(self, node: Range, dot: Any) -> None:
        known = len(self._variables)
        pairs = _elements(self._value(node.pipeline, dot), node.pipeline.offset)
        names, declares = node.pipeline.variables, node.pipeline.declares
        try:
            for key, element in pairs:
                taken = (element,) if len(names) == 1 else (key, element)[: len(names)]
                for name, value in zip(names, taken, strict=True):
                    self._assign(name, value, declares=declares)
                try:
                    self.walk(node.body, element)
                except _Continue:
                    pass
                del self._variables[known:]
        except _Break:
            pass
        del self._variables[known:]
        if not pairs:
            self.walk(node.otherwise, dot)

    def _pipeline(self, pipeline: Pipeline, dot: Any) -> Any:
        value = self._value(pipeline, dot)
        for name in pipeline.variables:
            self._assign(name, value, declares=pipeline.declares)
        return value

    def _assign(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return

    def _value(self, pipeline: Pipeline, dot: Any) -> Any:
        value: Any = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if number else ())
        return value

    def _command(self, command: Command, dot: Any, last: tuple[Any, ...]) -> Any:
        first, *rest = command.operands
        if isinstance(first, Function):
            try:
                if first.name in ("and", "or"):
                    return self._first_that_decides(first.name == "or", rest, dot, last)
                return self._call(first.name, (*(self._operand(item, dot) for item in rest), *last))
            except TemplateError as error:
                raise error if error.offset >= 0 else TemplateError(error.message, first.offset) from None
        return self._operand(first, dot, (*(self._operand(item, dot) for item in rest), *last))

    def _first_that_decides(
        self, wanted: bool, operands: Sequence[Operand], dot: Any, last: tuple[Any, ...]
    ) -> Any:
        """`and`, `or`: the first value that settles it, else the last one."""
        value: Any = MISSING
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) is wanted:
                return value
        if not operands and not last:
            raise TemplateError("values are missing")
        return last[0] if last else value

    def _operand(self, operand: Operand, dot: Any, arguments: tuple[Any, ...] = ()) -> Any:
        match operand:
            case Literal(value):
                return value
            case Pipeline():
                return self._value(operand, dot)
            case Function(name):
                return self._command(Command((operand,), operand.offset), dot, arguments)
            case Dot(path, offset):
                return _follow(dot, path, arguments, offset)
            case Variable(name, path, offset):
                value = next(value for known, value in reversed(self._variables) if known == name)
                return _follow(value, path, arguments, offset)
            case Chain(inner, path, offset):
                return _follow(self._operand(inner, dot), path, arguments, offset)


def _elements(value: Any, offset: int) -> list[tuple[Any, Any]]:
    """What a range goes through: keys or numbers, and elements. Raises TemplateError."""
    if value is None or value is MISSING:
        return []
    if isinstance(value, dict) and not isinstance(value, Record):
        return sorted(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(min(value, _MOST_OUTPUT))]
    raise TemplateError(f"range goes over a list or a map, this is {kind(value)}", offset)


def _follow(value: Any, path: Sequence[str], arguments: tuple[Any, ...], offset: int) -> Any:
    """A field of a field of a value; `arguments` are for the last one, which is a method then. Raises TemplateError."""
    at = offset
    for number, name in enumerate(path):
        is_last = number == len(path) - 1
        value = _field(value, name, at)
        if callable(value):
            try:
                value = value(*(arguments if is_last else ()))
            except TypeError:
                raise TemplateError(f"{name} takes another number of arguments", at) from None
            arguments = () if is_last else arguments
        at += len(name) + 1
    if arguments:
        raise TemplateError("only a function takes arguments", offset)
    return value


def _field(value: Any, name: str, offset: int) -> Any:
    if value is MISSING:
        return MISSING
    if isinstance(value, Record):
        if name not in value and name not in value.empty:
            raise TemplateError(f"there is no field {name}{_near(name, value)}", offset)
        return value.get(name)
    if isinstance(value, dict):
        return value.get(name, MISSING)
    raise TemplateError(f"{kind(value)} has no field {name}", offset)


def _near(name: str, fields: Mapping[str, Any]) -> str:
    """The fields that there are, or the one that differs only in the size of its letters."""
    alike = next((field for field in fields if field.lower() == name.lower()), None)
    return f"; there is {alike}" if alike else f"; there are {', '.join(sorted(fields))}"
