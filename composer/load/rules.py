"""A table from a path pattern to a rule: how merge, canonical forms, casts and value kinds are kept. Pure.

Patterns are dotted ("services.*.ports"); `*` stands for one key or index. The most specific row wins.
"""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from composer.load.origins import Path

Rule = TypeVar("Rule")


def words(text: str) -> list[str]:
    """The rows of a table that are written as one text."""
    return text.split()


class RuleTable(Generic[Rule]):
    """Rows are given once; `find` walks a tree of dictionaries, one step per key."""

    def __init__(self, rows: Mapping[str, Rule]) -> None:
        self._root: dict[str, Any] = {}
        for pattern, rule in rows.items():
            node = self._root
            for part in pattern.split("."):
                node = node.setdefault(part, {})
            node[""] = rule

    def find(self, path: Path) -> Rule | None:
        """The rule of the row that matches `path` completely, or None."""
        return self._find(self._root, path, 0)

    def _find(self, node: dict[str, Any], path: Path, depth: int) -> Rule | None:
        if depth == len(path):
            rule: Rule | None = node.get("")
            return rule
        key = path[depth]
        if isinstance(key, str) and key and key != "*" and key in node:
            rule = self._find(node[key], path, depth + 1)
            if rule is not None:
                return rule
        return self._find(node["*"], path, depth + 1) if "*" in node else None
