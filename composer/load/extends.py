"""`extends`: a service starts from another one, of the same file or of another (Compose spec 05-services: extends)."""

import os
from typing import TYPE_CHECKING, Any

from composer.errors import LoadError, Problem
from composer.load.canonical import canonicalize
from composer.load.merge import Pair, Run, merge, merge_documents
from composer.load.mistakes import without
from composer.load.origins import Document, Marks, Path, Report
from composer.load.reset import apply_resets
from composer.load.resolve import resolve_environment, resolve_paths
from composer.load.unique import enforce

if TYPE_CHECKING:
    from composer.load.scope import Scope

Chain = tuple[tuple[str, str], ...]
_MAX_CHAIN = 150


def apply(scope: "Scope", document: Document, path: str, earlier: Document) -> Document:
    """The document with every `extends` carried out. Problems are noted."""
    services = document.value.get("services")
    if not services or not any(isinstance(s, dict) and "extends" in s for s in services.values()):
        return document
    worker = _Extender(scope, document, path, earlier)
    marks = document.marks.holding(dict(document.marks.children))
    section = Marks(marks.child("services").origin, {})
    out = {}
    mistakes = scope.shared.mistakes
    for name, service in services.items():
        out[name], section.children[name] = service, marks.child("services").child(name)
        with mistakes.collecting():
            out[name], section.children[name] = worker.resolve(name, ())
    for extender in (worker, *scope.shared.extenders.values()):
        if extender is not None:
            mistakes.note(extender.report)
    if mistakes.any:  # what they extend may lack what was wrong
        for name, service in services.items():
            if isinstance(service, dict) and "extends" in service:
                mistakes.leave_open(("services", name, "extends"))
    marks.children["services"] = section
    return Document({**document.value, "services": out}, marks, document.resets)


class _Extender:
    """Resolves services of one file; other files get an extender of their own."""

    def __init__(self, scope: "Scope", document: Document, path: str, earlier: Document) -> None:
        self.scope = scope
        self.document = document
        self.file = path
        self.earlier = earlier
        self.report = Report()
        self._run = Run(self.report, raw=not scope.shared.interpolate)
        self.done: dict[str, Pair] = {}

    def resolve(self, name: str, chain: Chain) -> Pair:
        if name in self.done:
            return self.done[name]
        where: Path = ("services", name)
        service = self.document.value["services"][name]
        marks = self.document.marks.child("services").child(name)
        if not isinstance(service, dict) or service.get("extends") is None:
            return service, marks
        if len(chain) > _MAX_CHAIN:
            message = f"more than {_MAX_CHAIN} services extend each other"
            raise LoadError([self._problem(message, (*where, "extends"))])
        own = {key: item for key, item in service.items() if key != "extends"}
        if (self.file, name) in chain:
            self._cycle(chain[chain.index((self.file, name)) :], (*where, "extends"))
            return own, marks
        base = self._base(name, service["extends"], (*chain, (self.file, name)))
        if base is None:
            return own, marks
        if base[0] is None:  # an empty service to extend from: the reference keeps the key, so do we
            file = self.scope.path(service["extends"]["file"])
            return {**own, "extends": {**service["extends"], "file": file}}, marks
        resets = [p for p in self.document.resets if p[:2] == where]
        wrapped = Document(
            {"services": {name: base[0]}}, Marks(None, {"services": Marks(None, {name: base[1]})})
        )
        cleaned = apply_resets(wrapped, resets)
        value = cleaned.value["services"].get(name, {})
        inherited = {key: item for key, item in value.items() if key != "extends"}
        pair = (inherited, cleaned.marks.child("services").child(name))
        self.done[name] = merge(pair, (own, marks), where, self._run)
        return self.done[name]

    def _cycle(self, cycle: Chain, path: Path) -> None:
        """Told once, not for each of its services."""
        if not self.scope.shared.cycles.isdisjoint(cycle):
            return
        self.scope.shared.cycles.update(cycle)
        steps = " -> ".join(f"{step} ({os.path.basename(file)})" for file, step in (*cycle, cycle[0]))
        self.report.add(f"services extend each other: {steps}", path, self.document.marks)

    def _base(self, name: str, extends: Any, chain: Chain) -> Pair | None:
        where: Path = ("services", name, "extends")
        if isinstance(extends, str):
            extends = {"service": extends}
        if not isinstance(extends, dict) or not isinstance(extends.get("service"), str):
            self.report.add(
                f"extends of service {name!r} needs the key 'service'",
                where,
                self.document.marks,
                "extends: NAME",
            )
            return None
        target, file = extends["service"], extends.get("file")
        if not isinstance(file, str):
            return self._of_this_file(target, where, chain)
        path = self.scope.path(file)
        origin = self.document.marks.at((*where, "file"))
        if path == self.file:
            return self._of_this_file(target, where, chain)
        return self._of_other_file(path, file, target, where, chain, origin)

    def _of_this_file(self, target: str, where: Path, chain: Chain) -> Pair | None:
        if target in (self.document.value.get("services") or {}):
            return self.resolve(target, chain)
        if target in (self.earlier.value.get("services") or {}):
            return self.earlier.value["services"][target], self.earlier.marks.child("services").child(target)
        if not self.scope.shared.mistakes.may_define("services", target):
            message = f"the service {target!r} to extend is not defined"
            self.report.add(message, where, self.document.marks)
        return None

    def _of_other_file(
        self, path: str, file: str, target: str, where: Path, chain: Chain, origin: Any
    ) -> Pair | None:
        known = self.scope.shared.extenders
        key = (path, self.scope.variables)
        if key not in known:
            known[key] = None
            with self.scope.shared.mistakes.collecting(path=(*where, "file"), origin=origin):
                known[key] = self._open(path, origin)
        other: _Extender | None = known[key]
        if other is None:
            return None
        services = other.document.value.get("services")
        if isinstance(services, dict) and target in services and services[target] is None:
            return None, Marks(origin)
        if not isinstance(services, dict) or not isinstance(services.get(target), dict):
            message = f"the service {target!r} to extend is not defined in {file}"
            self.report.add(message, where, self.document.marks)
            return None
        value, marks = other.resolve(target, chain)
        return self._finished(value, marks, target, other.scope)

    def _open(self, path: str, origin: Any) -> "_Extender":
        """The other file, read once however many services extend it."""
        inner = self.scope.inner(os.path.dirname(path), self.scope.variables, self.file)
        document = Document({}, Marks())
        for part in inner.parse(path, "the file to extend from", origin):
            report = Report()
            own = inner.interpolated(part, report)
            self.scope.shared.mistakes.note(report)
            own = without(own, report.wrong)
            if isinstance(own.value, dict):
                merged = merge_documents(apply_resets(document, part.resets), own, self._run)
                document = merged._replace(resets=(*document.resets, *part.resets))
        return _Extender(inner, document, path, Document({}, Marks()))

    def _finished(self, value: Any, marks: Marks, target: str, inner: "Scope") -> Pair:
        """In long forms with absolute paths, as they are relative to the other file."""
        wrapped = Document(
            {"services": {target: value}}, Marks(None, {"services": Marks(None, {target: marks})})
        )
        try:
            wrapped = canonicalize(wrapped, self.report, raw=not self.scope.shared.interpolate)
            enforce(wrapped)
        except (TypeError, AttributeError):  # kinds the schema will refuse after the merge
            return value, marks
        if inner.shared.resolve_paths:
            resolve_paths(wrapped.value, inner.directory, inner.shared.home)
        resolve_environment(wrapped.value, inner.variables.get)
        return wrapped.value["services"][target], wrapped.marks.child("services").child(target)

    def _problem(self, message: str, path: Path) -> Problem:
        origin = self.document.marks.at(path)
        return self.scope.shared.source.problem(Problem(message, origin, ".".join(map(str, path))))
