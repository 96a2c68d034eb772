"""YAML text to nodes: PyYAML's C parser gives the events, the nodes are put together here. Pure.

(Its own composer recurses in C: a file of a hundred thousand brackets would end the process.)
"""

from collections.abc import Iterator
from typing import Any

import yaml
from yaml._yaml import CParser

from composer.errors import LoadError, Origin, Problem

PLAIN = "!plain"  # tag of a scalar without quotes and without a tag
YAML = "tag:yaml.org,2002:"
MAX_DEPTH = 100
MAX_NODES = 400_000  # of one document, with aliases expanded; a service has about 30


def parse_nodes(text: str, file: str) -> Iterator[Any]:
    """The root node of every document. Raises yaml.YAMLError and LoadError."""
    parser = CParser(text)
    composer = _Composer(parser, file)
    while parser.check_event():
        event = parser.get_event()
        if isinstance(event, yaml.DocumentStartEvent):
            composer.anchors.clear()
            yield composer.compose(parser.get_event(), 0)


class _Composer:
    def __init__(self, parser: Any, file: str) -> None:
        self._next = parser.get_event
        self._file = file
        self.anchors: dict[str, Any] = {}
        self._count = 0

    def compose(self, event: Any, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._error(event, f"the document has more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise self._error(event, f"the document has more than {MAX_DEPTH} levels of nesting")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self._error(
                    event, f"the alias *{event.anchor} refers to no anchor", "define it before: &NAME"
                )
            return self.anchors[event.anchor]
        node = self._node(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.SequenceStartEvent):
            while not isinstance(item := self._next(), yaml.SequenceEndEvent):
                node.value.append(self.compose(item, depth + 1))
        elif isinstance(event, yaml.MappingStartEvent):
            while not isinstance(item := self._next(), yaml.MappingEndEvent):
                key = self.compose(item, depth + 1)
                node.value.append((key, self.compose(self._next(), depth + 1)))
        return node

    def _node(self, event: Any) -> Any:
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag
            if tag in (None, "!"):
                tag = PLAIN if event.implicit[0] else YAML + "str"
            return yaml.ScalarNode(tag, event.value, start, end, style=event.style)
        kind, name = (
            (yaml.SequenceNode, "seq")
            if isinstance(event, yaml.SequenceStartEvent)
            else (yaml.MappingNode, "map")
        )
        return kind(event.tag or YAML + name, [], start, end)

    def _error(self, event: Any, message: str, hint: str = "") -> LoadError:
        mark = event.start_mark
        return LoadError([Problem(message, Origin(self._file, mark.line + 1, mark.column + 1), "", hint)])
