"""YAML text to plain trees with the position of every value. Pure.

Uses PyYAML's C parser for nodes and marks only; what scalars mean is `scalars`. Tags !reset and !override are
noted as paths. Duplicate keys, keys that are not text, endless and exploding aliases are errors.
"""

from typing import Any

import yaml

from composer.errors import LoadError, Origin, Problem
from composer.load.origins import Document, Marks, Path, Report, dotted
from composer.load.scalars import parse_plain, parse_tagged
from composer.load.yaml_nodes import MAX_DEPTH, MAX_NODES, PLAIN, YAML, parse_nodes


def parse_documents(text: str, file: str) -> list[tuple[Document, Report]]:
    """Every YAML document of a file, and what is wrong with it. Raises LoadError for text that is not YAML."""
    _refuse_newer_yaml(text, file)
    documents: list[tuple[Document, Report]] = []
    try:
        for node in parse_nodes(text, file):
            builder = _Builder(file)
            value, marks = builder.build(node, (), 0)
            documents.append((Document(value, marks, tuple(builder.resets)), builder.report))
    except yaml.YAMLError as error:
        raise LoadError([_syntax_problem(error, text, file)]) from None
    return documents


def _refuse_newer_yaml(text: str, file: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("%YAML") and line.split()[1:2] != ["1.1"]:
            message = "the %YAML directive asks for a version other than 1.1"
            raise LoadError([Problem(message, Origin(file, number, 1), "", "remove the line")])
        if line.strip() and not line.startswith(("#", "%", "\ufeff")):
            return


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).strip().split("\n")[0]
    context = getattr(error, "context", None)
    message = f"YAML syntax error: {problem}" + (f" ({context})" if context else "")
    hint = ""
    if mark is None:
        return Problem(message, Origin(file))
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if line[: mark.column + 1].strip() == "" and "\t" in line[: mark.column + 1]:
        hint = "indent with spaces: YAML does not allow tabs there"
    return Problem(message, Origin(file, mark.line + 1, mark.column + 1), "", hint)


class _Builder:
    """Turns nodes into values; aliases are expanded, each expansion counted."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.nodes = 0
        self.active: set[int] = set()
        self.report = Report()
        self.resets: list[Path] = []

    def origin(self, node: Any) -> Origin:
        return Origin(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def fail(self, node: Any, message: str, path: Path, hint: str = "", *, kept: bool = False) -> None:
        self.report.add_at(message, path, self.origin(node), hint, kept=kept)

    def build(self, node: Any, path: Path, depth: int) -> tuple[Any, Marks]:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            what = "values once its aliases are expanded" if self.nodes > MAX_NODES else "levels of nesting"
            limit = MAX_NODES if self.nodes > MAX_NODES else MAX_DEPTH
            self.fail(node, f"the document has more than {limit} {what}", path)
            raise LoadError(self.report.problems)
        marks = Marks(self.origin(node))
        if id(node) in self.active:
            self.fail(node, "an alias refers to a value that contains it", path)
            return None, marks
        if node.tag in ("!reset", "!override"):
            self.resets.append(path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path), marks
        self.active.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, path, depth, marks), marks
            return self._mapping(node, path, depth, marks), marks
        finally:
            self.active.discard(id(node))

    def _scalar(self, node: Any, path: Path) -> Any:
        if node.tag.startswith(YAML):
            try:
                return parse_tagged(node.tag.removeprefix(YAML), node.value)
            except ValueError as error:
                self.fail(node, str(error), path)
                return None
        plain = node.tag == PLAIN or (node.style is None and node.tag != "!")
        return parse_plain(node.value) if plain else node.value

    def _sequence(self, node: Any, path: Path, depth: int, marks: Marks) -> list[Any]:
        out: list[Any] = []
        for item in node.value:
            index = len(out)
            if item.tag == "!reset":
                self.resets.append((*path, index))
                continue
            value, marks.children[index] = self.build(item, (*path, index), depth + 1)
            out.append(value)
        return out

    def _mapping(self, node: Any, path: Path, depth: int, marks: Marks) -> dict[str, Any]:
        out: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if _is_merge_key(key_node):
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in lines:
                message = f"the key {key!r} is already defined at line {lines[key]}"
                self.fail(key_node, message, (*path, key), kept=True)
                continue
            lines[key] = key_node.start_mark.line + 1
            if value_node.tag == "!reset":
                self.resets.append((*path, key))
                continue
            out[key], child = self.build(value_node, (*path, key), depth + 1)
            child.origin = self.origin(key_node)
            marks.children[key] = child
        for key_node, value_node in node.value:
            if _is_merge_key(key_node):
                self._merge_key(value_node, path, depth, out, marks, lines)
        return out

    def _key(self, node: Any, path: Path) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            value = self._scalar(node, path)
            if isinstance(value, str):
                return value
        shown = getattr(node, "value", "") if isinstance(node, yaml.ScalarNode) else "a list or mapping"
        where = dotted(path) or "the document"
        self.fail(
            node, f"{where} has a key that is not text: {shown}", path, "put the key in quotes", kept=True
        )
        return None

    def _merge_key(
        self, node: Any, path: Path, depth: int, out: dict[str, Any], marks: Marks, own: dict[str, int]
    ) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self.fail(source, "<< merges mappings only", (*path, "<<"))
                continue
            known = len(self.resets)
            value, child = self.build(source, path, depth + 1)
            del self.resets[known:]  # a tag counts where it is written, not where it is merged in
            for key in value or {}:
                if key not in own and key not in out:
                    out[key] = value[key]
                    marks.children[key] = child.child(key)
                elif key in out:
                    marks.children[key] = marks.child(key).after(child.child(key))


def _is_merge_key(node: Any) -> bool:
    return node.value == "<<" and node.tag in (PLAIN, YAML + "merge")
