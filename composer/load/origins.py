"""Where every value of a tree was written: the side table that travels beside the plain values. Pure.

A tree is plain data (dict, list, scalars). Its `Marks` has the same shape; `at(path)` answers for a tuple path such
as ("services", "web", "ports", 0), with the nearest ancestor's origin where a value was made up by a later stage.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from composer.errors import Origin, Problem

Path = tuple[str | int, ...]


class Marks:
    """One node of the side table: its own origin and its children by key or index.

    `before` are the places whose value this one replaced or was merged with, in their order.
    """

    __slots__ = ("before", "children", "origin")

    def __init__(
        self,
        origin: Origin | None = None,
        children: dict[str | int, "Marks"] | None = None,
        before: tuple[Origin, ...] = (),
    ) -> None:
        self.origin = origin
        self.children: dict[str | int, Marks] = {} if children is None else children
        self.before = before

    @property
    def places(self) -> tuple[Origin, ...]:
        """Every place that had a part in the value, the winner last."""
        return self.before if self.origin is None else (*self.before, self.origin)

    def holding(self, children: dict[str | int, "Marks"]) -> "Marks":
        """The same place with other children."""
        return Marks(self.origin, children, self.before)

    def after(self, earlier: "Marks") -> "Marks":
        """The same, with the places of what it replaces or is merged with."""
        known = tuple(place for place in earlier.places if place not in self.places)
        return Marks(self.origin, self.children, (*known, *self.before))

    def at(self, path: Path) -> Origin | None:
        """Origin of the value at `path` or of its nearest ancestor that has one."""
        node, best = self, self.origin
        for key in path:
            found = node.children.get(key)
            if found is None:
                break
            node, best = found, found.origin or best
        return best

    def child(self, key: str | int) -> "Marks":
        """The child's marks; an empty node with this node's origin where there is none."""
        return self.children.get(key) or Marks(self.origin)

    def copy(self) -> "Marks":
        """A deep copy, safe to rearrange."""
        return self.holding({key: child.copy() for key, child in self.children.items()})

    def rekey(self, pairs: Iterable[tuple[str | int, str | int]]) -> None:
        """Give children new keys: `pairs` of (new, old). Children not named are dropped."""
        old = self.children
        self.children = {new: old[was] for new, was in pairs if was in old}

    def find(self, path: Path) -> "Marks | None":
        """The node at exactly `path`, or None."""
        node: Marks | None = self
        for key in path:
            if node is None:
                return None
            node = node.children.get(key)
        return node


class Document(NamedTuple):
    """A plain tree with its marks, and the paths tagged !reset or !override in it."""

    value: Any
    marks: Marks
    resets: tuple[Path, ...] = ()


class Report:
    """Collects problems while a file is examined, so that all of them are told at once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, Path] = {}
        self._kept: set[Path] = set()

    @property
    def problems(self) -> list[Problem]:
        """All of them, each once, in their order."""
        return list(self._problems)

    @property
    def found(self) -> list[tuple[Problem, Path]]:
        """Every problem and its path."""
        return list(self._problems.items())

    @property
    def wrong(self) -> list[Path]:
        """Paths of values that later stages cannot use."""
        return [path for path in self._problems.values() if path not in self._kept]

    def add(self, message: str, path: Path = (), marks: Marks | None = None, hint: str = "") -> None:
        """One problem at `path`; its origin is looked up in `marks`."""
        self.add_at(message, path, marks.at(path) if marks is not None else None, hint)

    def add_at(
        self, message: str, path: Path, origin: Origin | None, hint: str = "", *, kept: bool = False
    ) -> None:
        """One problem at `path` whose origin is known. `kept`: the value in the tree is one that can be used."""
        self._problems[Problem(message, origin, dotted(path), hint)] = path
        if kept:
            self._kept.add(path)


def dotted(path: Path) -> str:
    """A path as people write it: services.web.ports[0]."""
    out = ""
    for key in path:
        out += f"[{key}]" if isinstance(key, int) else f".{key}" if out else str(key)
    return out
