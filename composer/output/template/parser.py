"""Tokens of a template -> its tree. Pure."""

import ast
from collections.abc import Sequence

from composer.output.template.errors import TemplateError
from composer.output.template.functions import FUNCTIONS
from composer.output.template.lexer import Kind, Token, tokens
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

_MOST_NESTED = 100
_KEYWORDS = frozenset(
    ("if", "else", "end", "range", "with", "break", "continue", "define", "template", "block")
)
_CONSTANTS = {"true": True, "false": False, "nil": None}


def parse_template(text: str) -> tuple[Node, ...]:
    """The tree of a template. Raises TemplateError."""
    return _Parser(tuple(tokens(text))).whole()


class _Parser:
    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._position = 0
        self._depth = 0
        self._ranges = 0
        self._variables = ["$"]  # those that are known here

    def whole(self) -> tuple[Node, ...]:
        nodes, word = self._nodes()
        if word is not None:
            raise TemplateError(f"{{{{{word.text}}}}} without a beginning", word.offset)
        return nodes

    # ---- actions

    def _nodes(self) -> tuple[tuple[Node, ...], Token | None]:
        """What comes up to `else`, `end` or the template's end, and that word, which is taken."""
        nodes: list[Node] = []
        while (token := self._next()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                nodes.append(Text(token.text))
                continue
            word = self._peek()
            if word.kind is not Kind.WORD or word.text not in _KEYWORDS:
                pipeline = self._pipeline()
                self._close()
                nodes.append(Action(pipeline))
                continue
            self._next()
            if word.text in ("else", "end"):
                return tuple(nodes), word
            nodes.append(self._control(word))
        return tuple(nodes), None

    def _control(self, word: Token) -> Node:
        if word.text in ("break", "continue"):
            if not self._ranges:
                raise TemplateError(f"{word.text} outside of a range", word.offset)
            self._close()
            return Break(word.offset) if word.text == "break" else Continue(word.offset)
        if word.text in ("if", "with", "range"):
            return self._block(word)
        raise TemplateError(f"{word.text} is not supported", word.offset)

    def _block(self, word: Token) -> Node:
        """From after `if`, `with` or `range` to the `end` of it."""
        self._deeper(word)
        known = len(self._variables)
        is_range = word.text == "range"
        pipeline = self._pipeline(most_variables=2 if is_range else 1)
        self._close()
        self._ranges += is_range
        body, ending = self._nodes()
        self._ranges -= is_range
        otherwise: tuple[Node, ...] = ()
        if ending is not None and ending.text == "else":
            otherwise, ending = self._otherwise(word)
        if ending is None:
            raise TemplateError(f"this {word.text} has no {{{{end}}}}", word.offset)
        if ending.text == "else":
            raise TemplateError("there is an else before", ending.offset)
        self._close()
        del self._variables[known:]
        self._depth -= 1
        if is_range:
            return Range(pipeline, body, otherwise)
        return If(pipeline, body, otherwise, binds=word.text == "with")

    def _otherwise(self, word: Token) -> tuple[tuple[Node, ...], Token | None]:
        """What follows an `else`; an `else if` has its `end` in common with the `if` before it."""
        following = self._peek()
        if following.kind is Kind.WORD and following.text == word.text != "range":
            self._next()
            node = self._block(following)
            # The block has taken the one `end`: step back in front of it.
            self._position -= 2
            return (node,), self._next()
        self._close()
        return self._nodes()

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise TemplateError(f"more than {_MOST_NESTED} nested", token.offset)

    # ---- pipelines

    def _pipeline(self, most_variables: int = 1, *, in_parentheses: bool = False) -> Pipeline:
        start = self._peek()
        variables, declares = self._assigned(most_variables)
        commands = [self._command()]
        while self._takes("|"):
            commands.append(self._command())
            if not isinstance(commands[-1].operands[0], Function | Dot | Variable | Chain):
                raise TemplateError("only a function can follow a |", commands[-1].offset)
        if declares:
            self._variables.extend(variables)
        if in_parentheses and not self._takes(")"):
            raise TemplateError("this ( has no )", start.offset - 1)
        return Pipeline(tuple(commands), variables, declares, start.offset)

    def _assigned(self, most: int) -> tuple[tuple[str, ...], bool]:
        """The variables before `:=` or `=`, and whether they are new."""
        start = self._position
        names = []
        while self._peek().kind is Kind.VARIABLE:
            token = self._next()
            names.append(token)
            if self._peek().text in (":=", "="):
                declares = self._next().text == ":="
                for name in names:
                    if not declares:
                        self._check_variable(name)
                return tuple(name.text for name in names), declares
            if len(names) == most or not self._takes(","):
                break
        self._position = start
        return (), False

    def _command(self) -> Command:
        start = self._peek()
        operands = []
        while (operand := self._operand()) is not None:
            operands.append(operand)
        if not operands:
            raise TemplateError("a value is missing here", start.offset)
        if len(operands) > 1 and isinstance(operands[0], Literal | Pipeline):
            raise TemplateError("only a function takes arguments", start.offset)
        return Command(tuple(operands), start.offset)

    def _operand(self) -> Operand | None:
        token = self._peek()
        start = self._position
        self._next()
        match token.kind:
            case Kind.STRING | Kind.RAW | Kind.CHARACTER | Kind.NUMBER:
                return _literal(token)
            case Kind.FIELD:
                return Dot((token.text[1:], *self._fields()), token.offset)
            case Kind.VARIABLE:
                self._check_variable(token)
                return Variable(token.text, self._fields(), token.offset)
            case Kind.WORD if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text], token.offset)
            case Kind.WORD:
                if token.text not in FUNCTIONS:
                    raise TemplateError(f"there is no function {token.text}", token.offset)
                return Function(token.text, token.offset)
            case Kind.MARK if token.text == ".":
                return Dot((), token.offset)
            case Kind.MARK if token.text == "(":
                self._deeper(token)
                inner = self._pipeline(in_parentheses=True)
                self._depth -= 1
                path = self._fields()
                return Chain(inner, path, token.offset) if path else inner
        self._position = start
        return None

    def _fields(self) -> tuple[str, ...]:
        """`.A.B` straight after an operand."""
        path = []
        while self._peek().kind is Kind.FIELD and self._peek().joined:
            path.append(self._next().text[1:])
        return tuple(path)

    def _check_variable(self, token: Token) -> None:
        if token.text not in self._variables:
            raise TemplateError(f"there is no variable {token.text}", token.offset)

    # ---- tokens

    def _peek(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._tokens[self._position]
        self._position += token.kind is not Kind.END
        return token

    def _takes(self, mark: str) -> bool:
        found = self._peek().kind is Kind.MARK and self._peek().text == mark
        self._position += found
        return found

    def _close(self) -> None:
        token = self._next()
        if token.kind is not Kind.CLOSE:
            raise TemplateError(f"{token.text!r} is not expected here", token.offset)


def _literal(token: Token) -> Literal:
    """A constant, written as in Go. Raises TemplateError."""
    if token.kind is Kind.RAW:
        return Literal(token.text[1:-1], token.offset)
    text = token.text
    if token.kind is Kind.NUMBER and len(text.lstrip("+-")) > 1 and text.lstrip("+-").isdigit():
        text = text.replace("0", "0o", 1) if text.lstrip("+-").startswith("0") else text  # octal, as in C
    try:
        value = ast.literal_eval(text)
        return Literal(ord(value) if token.kind is Kind.CHARACTER else value, token.offset)
    except (ValueError, SyntaxError, TypeError):
        raise TemplateError(f"{token.text} is not a constant", token.offset) from None
