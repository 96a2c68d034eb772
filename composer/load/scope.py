"""The loading of one set of files in one directory: read, interpolate, include, extend, merge, validate.

A scope is the project itself or one `include` entry. Mistakes are noted and taken out, so that loading goes on with
the rest; only what cannot be read at all ends it.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.errors import LoadError, Origin, Problem
from composer.load import extends, include
from composer.load.canonical import canonicalize
from composer.load.interpolate import Interpolator
from composer.load.merge import Run, merge_documents
from composer.load.mistakes import Mistakes, without
from composer.load.origins import Document, Marks, Path, Report
from composer.load.quick_check import Check
from composer.load.reset import apply_resets
from composer.load.source import STDIN, Source, Variables
from composer.load.unique import enforce
from composer.load.yaml_text import parse_documents

_MAX_SCOPES = 2000  # files that include others twice would double their number at every level
_MAX_DEPTH = 40
_MAX_ROUNDS = 10  # of a stage that looks again at what is left of a tree


class Shared(NamedTuple):
    """What all scopes of one load have in common."""

    source: Source
    schema: Mapping[str, Any]
    is_valid: Check
    home: str
    interpolate: bool
    resolve_paths: bool
    unset: dict[str, Origin | None]  # variable -> first place where it became blank
    scopes: list[str]  # directories of all scopes made so far
    extenders: dict[Any, Any]  # (file, variables) -> what extends has read of it
    cycles: set[tuple[str, str]]  # (file, service) of those that extend each other
    mistakes: Mistakes


class Scope:
    """Files, directory and variables of the project or of an include entry."""

    def __init__(
        self, shared: Shared, directory: str, variables: Variables, chain: tuple[str, ...] = ()
    ) -> None:
        self.shared = shared
        self.directory = directory
        self.variables = variables
        self.chain = chain  # files that include this scope, from outside in
        shared.scopes.append(directory)
        if len(shared.scopes) > _MAX_SCOPES or len(chain) > _MAX_DEPTH:
            where = Origin(chain[-1]) if chain else None
            message = f"more than {_MAX_SCOPES} files are included, or files include each other too deep"
            raise LoadError([Problem(message, where)])

    def parse(self, path: str, what: str = "the file", origin: Origin | None = None) -> list[Document]:
        """Documents of one file, not yet interpolated. Raises LoadError."""
        name = "(standard input)" if path == STDIN else path
        text = self.shared.source.read(path, what, origin)
        self.shared.source.texts[name] = text
        if path != STDIN:
            self.shared.source.compose_files.append(path)
        documents = []
        for document, problems in parse_documents(text, name):
            documents.append(self.mend(document, problems))
        if not documents or all(document.value is None for document in documents):
            raise LoadError(
                [Problem(f"the Compose file {name} is empty", Origin(name), "", "it needs `services:`")]
            )
        return documents

    def load(self, files: tuple[str, ...], parsed: Mapping[str, list[Document]] | None = None) -> Document:
        """All files merged in order, in long forms. Raises LoadError if one cannot be read."""
        merged = Document({}, Marks())
        for path in files:
            for document in self.parse(path) if parsed is None else parsed[path]:
                if document.value is not None:
                    merged = self._add(merged, document, path)
        return merged

    def _add(self, merged: Document, document: Document, path: str) -> Document:
        report = Report()
        own = self.interpolated(document, report)
        own = self.mend(own, report)
        shape = Report()
        _check_shape(own, shape)
        own = self.mend(own, shape)
        own = include.apply(self, own, path)
        own = extends.apply(self, own, path, merged)
        report = Report()
        run = Run(report, raw=not self.shared.interpolate)
        merged = merge_documents(apply_resets(merged, document.resets), own, run)
        merged = self.mend(merged, report)
        if not self.shared.is_valid(merged.value):
            merged = self._valid(merged)
        merged = self._canonical(merged)
        enforce(merged)
        return merged

    def _valid(self, document: Document) -> Document:
        """What is left of a tree without what the schema refuses."""
        from composer.load.schema import validate  # costs more than a whole load

        report = Report()
        validate(document, self.shared.schema, report)
        document = self.mend(document, report)
        for _ in range(_MAX_ROUNDS):
            if self.shared.is_valid(document.value):
                return document
            # What lacks a key that was wrong is of no use either, and not told.
            report = Report()
            validate(document, self.shared.schema, report)
            for path in report.wrong:
                self.shared.mistakes.leave_open(path)
            document = without(document, report.wrong)
        self.shared.mistakes.stop()
        return document

    def _canonical(self, document: Document) -> Document:
        """Long forms. A form that is told wrong is taken out, and the others are looked at again."""
        for _ in range(_MAX_ROUNDS):
            report = Report()
            canonical = canonicalize(document, report, raw=not self.shared.interpolate)
            if not report.problems:
                return canonical
            document = self.mend(document, report)
        self.shared.mistakes.stop()
        return document

    def interpolated(self, document: Document, report: Report) -> Document:
        """The document with variables replaced; unset ones are noted once for the whole load."""
        if not self.shared.interpolate:
            return document
        if not isinstance(document.value, dict):
            return document
        interpolator = Interpolator(self.variables.get, document.marks, report)
        value = interpolator.apply(document.value)
        for name, where in interpolator.unset.items():
            self.shared.unset.setdefault(name, document.marks.at(where))
        return document._replace(value=value)

    def mend(self, document: Document, report: Report) -> Document:
        """Notes the report's problems; the document without what they are about."""
        return self.shared.mistakes.mend(document, report) if report.problems else document

    def inner(self, directory: str, variables: Variables, file: str) -> "Scope":
        """A scope for files that `file` refers to."""
        return Scope(self.shared, directory, variables, (*self.chain, file))

    def path(self, path: str) -> str:
        """A path of this scope, absolute."""
        if path.startswith("~"):
            path = self.shared.home + path[1:]
        return os.path.normpath(os.path.join(self.directory, path))


def _check_shape(document: Document, report: Report) -> None:
    """What include, extends and merge rely on: mappings where they walk."""
    value, marks = document.value, document.marks
    if not isinstance(value, dict):
        report.add(
            "a Compose file must be a mapping at its top level", (), marks, "it starts with `services:`"
        )
        return
    if "services" in value:
        services = value["services"]
        if not isinstance(services, dict):
            report.add("services must be a mapping of names to services", ("services",), marks)
            return
        for name, service in services.items():
            path: Path = ("services", name)
            if not isinstance(service, dict):
                report.add(
                    "a service must be a mapping", path, marks, "it needs at least `image:` or `build:`"
                )
