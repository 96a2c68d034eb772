"""All mistakes of a project at once: what every stage found, and the tree that the next one can go on with.

A stage that finds a value wrong does not end the load: the value is taken out of the tree, its path is remembered as
broken, and later stages look at the rest. What is broken explains away what follows from it: a secret without a source
because its `file` was malformed, a volume that is not defined because its definition was.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from composer.errors import LoadError, NoFileError, Origin, Problem
from composer.load.origins import Document, Marks, Path, Report, dotted
from composer.load.source import Source

_MOST = 200  # nobody reads more; a load ends there
_IMAGE_KEYS = ("image", "build", "provider", "extends")


class Mistakes:
    """The problems of one load so far, each once, and the paths of the project's tree that they leave open."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._problems: dict[tuple[str, Origin | str], Problem] = {}
        self._broken: set[Path] = set()
        self._below: dict[Path, set[str | int]] = {}  # service or resource -> keys of it that are broken
        self._gone: dict[tuple[str, Path], list[int]] = {}  # (file, path of a list) -> items taken out
        self._around: set[Path] = set()  # of what holds a broken value: it may lack something now

    @property
    def any(self) -> bool:
        """Whether a problem has been found."""
        return bool(self._problems)

    def add(self, problems: Iterable[Problem]) -> None:
        """Notes problems. Raises LoadError with all of them once there are more than anybody reads."""
        for problem in problems:
            # Anchors, `extends` and several files bring one mistake to several paths.
            self._problems.setdefault((problem.message, problem.origin or problem.path), problem)
            if len(self._problems) >= _MOST:
                self.stop()

    def note(self, report: Report) -> None:
        """Takes over a report, without what follows from mistakes known before."""
        if report.problems:
            written = [(problem, self._written(path, problem.origin)) for problem, path in report.found]
            self.add(p._replace(path=dotted(path)) for p, path in written if path not in self._around)

    def mend(self, document: Document, report: Report) -> Document:
        """The document without the values that the report calls wrong."""
        if not report.problems:
            return document
        self.note(report)
        origins = [document.marks.at(path) for path in report.wrong]
        written = [self._written(path, origin) for path, origin in zip(report.wrong, origins, strict=True)]
        for path, origin in zip(written, origins, strict=True):
            self.leave_open(path)
            if path and isinstance(path[-1], int) and origin:
                self._gone.setdefault((origin.file, path[:-1]), []).append(path[-1])
        return without(document, report.wrong)

    def _written(self, path: Path, origin: Origin | None) -> Path:
        """The path with list indices as in the file, where items have been taken out."""
        out: Path = ()
        for key in path:
            if isinstance(key, int) and origin:
                for gone in sorted(self._gone.get((origin.file, out), ())):
                    key += gone <= key
            out = (*out, key)
        return out

    def leave_open(self, path: Path) -> None:
        """Nothing is known of the value at `path`; of the whole project for ()."""
        self._broken.add(path)
        if len(path) > 2:
            self._below.setdefault(path[:2], set()).add(path[2])
        if len(path) > 3 or (len(path) == 3 and path[0] != "services"):
            self._around.add(path[:-1])

    @contextmanager
    def collecting(
        self, leaves_open: Path | None = None, *, path: Path = (), origin: Origin | None = None
    ) -> Iterator[None]:
        """Notes a LoadError of the block and goes on; the value at `leaves_open`, if given, is then not known.

        A problem at `origin` is one of the value at `path`.
        """
        try:
            yield
        except NoFileError:
            raise
        except LoadError as error:
            if leaves_open is not None:
                self.leave_open(leaves_open)
            self.add(
                p._replace(path=dotted(path)) if path and p.origin == origin else p for p in error.problems
            )

    def stop(self) -> None:
        """Raises LoadError if there are problems, in the order of files and lines."""
        if self._problems:
            found = sorted(self._problems.values(), key=lambda problem: problem.origin or Origin(""))
            raise LoadError([self._source.problem(problem) for problem in found])

    def may_define(self, section: str, name: str | None = None) -> bool:
        """Whether a resource or service that is not there may be in a part that could not be understood."""
        if not self._broken:
            return False
        return not self._broken.isdisjoint(((), ("include",), (section,), (section, name)))

    def damaged(self, section: str, name: str) -> bool:
        """Whether a service or resource, or something in it, has been taken out."""
        return (section, name) in self._below or (section, name) in self._broken

    def may_have_image(self, service: str) -> bool:
        """Whether what gives a service its image may be what was wrong with it."""
        if () in self._broken:
            return True
        own = self._below.get(("services", service), ())
        if not own:
            return False
        import difflib  # only for a project with mistakes

        return any(key == "<<" or difflib.get_close_matches(str(key), _IMAGE_KEYS) for key in own)


def without(document: Document, paths: Iterable[Path]) -> Document:
    """The document without the values at `paths`; list items after one that is gone move up."""
    wanted: dict[str | int, Any] = {}
    for path in paths:
        if not path:
            return Document({}, Marks(document.marks.origin))
        node = wanted
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if node is _GONE:
                break
        else:
            node[path[-1]] = _GONE
    value, marks = _without(document.value, document.marks, wanted)
    return document._replace(value=value, marks=marks)


_GONE: dict[str | int, Any] = {}


def _without(value: Any, marks: Marks, wanted: dict[str | int, Any]) -> tuple[Any, Marks]:
    if not isinstance(value, dict | list):
        return value, marks
    kept: list[tuple[str | int, Any, Marks | None]] = []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        below = wanted.get(key)
        if below is _GONE:
            continue
        child = marks.children.get(key)
        if below is not None:
            item, child = _without(item, marks.child(key), below)
        kept.append((key if isinstance(value, dict) else len(kept), item, child))
    moved = marks.holding({key: child for key, _, child in kept if child is not None})
    if isinstance(value, dict):
        return {key: item for key, item, _ in kept}, moved
    return [item for _, item, _ in kept], moved
