"""`include`: other Compose files as they are, with their own directory and .env (Compose spec 14-include)."""

import os
from typing import TYPE_CHECKING, Any

from composer.errors import LoadError, Origin, Problem
from composer.load.canonical import canonicalize
from composer.load.normalize import set_defaults
from composer.load.origins import Document, Marks, Report
from composer.load.resolve import resolve_environment, resolve_paths
from composer.load.source import load_dotenv
from composer.load.unique import enforce

if TYPE_CHECKING:
    from composer.load.scope import Scope

SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def apply(scope: "Scope", document: Document, path: str) -> Document:
    """The document with everything its `include` names; the key itself is gone. Problems are noted."""
    if "include" not in document.value:
        return document
    entries = document.value["include"]
    own = {key: item for key, item in document.value.items() if key != "include"}
    document = document._replace(value=own)
    if entries is None:
        return document
    if not isinstance(entries, list):
        report = Report()
        report.add("include must be a list", ("include",), document.marks, "write `include: [FILE]`")
        return scope.mend(document, report)
    for index, entry in enumerate(entries):
        where = ("include", index)
        origin = document.marks.at(where)
        with scope.shared.mistakes.collecting(("include",), path=where, origin=origin):
            document = _import(scope, document, _load(scope, document, entry, origin, path))
    return document


def _load(scope: "Scope", document: Document, entry: Any, origin: Origin | None, path: str) -> Document:
    if isinstance(entry, str):
        entry = {"path": entry}
    paths = _texts(entry.get("path")) if isinstance(entry, dict) else None
    if not paths:
        message = "an include entry is a path or a mapping with the key 'path'"
        raise LoadError([Problem(message, origin)])
    files = tuple(scope.path(file) for file in paths)
    chain = (*scope.chain, path)
    again = next((file for file in files if file in chain), None)
    if again:
        message = "files include each other: " + " -> ".join((*chain[chain.index(again) :], again))
        raise LoadError([Problem(message, origin)])
    directory = os.path.dirname(files[0])
    if isinstance(entry.get("project_directory"), str):
        directory = scope.path(entry["project_directory"])
    variables = scope.variables.within(_environment(scope, entry, directory))
    for file in files:
        scope.shared.source.read(file, "the included file", origin)
    inner = scope.inner(directory, variables, path)
    included = inner.load(files)
    set_defaults(included.value)
    if scope.shared.resolve_paths:
        resolve_paths(included.value, directory, scope.shared.home)
    resolve_environment(included.value, variables.get)
    return included


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _environment(scope: "Scope", entry: dict[str, Any], directory: str) -> dict[str, str]:
    """Values of the entry's env files, or of .env beside the included files."""
    values: dict[str, str] = {}
    named = _texts(entry.get("env_file"))
    for file in named:
        variables = scope.variables.within(values)
        values.update(
            load_dotenv(scope.shared.source, scope.path(file), variables, "the env file of an include")
        )
    default = os.path.join(directory, ".env")
    if not named and directory != scope.directory and scope.shared.source.exists(default):
        values = load_dotenv(scope.shared.source, default, scope.variables)
    return values


def _import(scope: "Scope", document: Document, included: Document) -> Document:
    report = Report()
    value = dict(document.value)
    marks = document.marks.holding(dict(document.marks.children))
    for section in SECTIONS:
        items = included.value.get(section)
        if not isinstance(items, dict) or not items:
            continue
        if not isinstance(value.get(section) or {}, dict):
            continue  # the schema says so
        known = dict(value.get(section) or {})
        inner = marks.child(section).holding(dict(marks.child(section).children))
        for name, item in items.items():
            if scope.shared.mistakes.damaged(section, name):
                pass  # no telling whether they are the same
            elif name in known and not _same(scope, section, name, known[name], item):
                at = included.marks.at((section, name))
                message = f"{name!r} is defined differently by an included file ({at})"
                report.add(message, (section, name), document.marks, "change it in an override file instead")
                continue
            known[name] = item
            inner.children[name] = included.marks.child(section).child(name)
        value[section], marks.children[section] = known, inner
    scope.shared.mistakes.note(report)
    return Document(value, marks, document.resets)


def _same(scope: "Scope", section: str, name: str, own: Any, included: Any) -> bool:
    if own == included:
        return True
    try:
        document = canonicalize(Document({section: {name: own}}, Marks()), Report())
        enforce(document)
    except (TypeError, AttributeError):
        return False
    set_defaults(document.value)
    resolve_paths(document.value, scope.directory, scope.shared.home)
    return bool(document.value[section][name] == included)
