"""env_file and label_file of active services read and laid under `environment` and `labels`."""

from typing import Any

from composer.errors import LoadError, Origin, Problem
from composer.load.mistakes import Mistakes
from composer.load.origins import Marks
from composer.load.source import EnvFile, ServiceFile, Source, Variables, load_env_file


def apply_files(
    name: str,
    service: dict[str, Any],
    marks: Marks,
    mistakes: Mistakes,
    source: Source,
    variables: Variables,
) -> None:
    """Changes service `name` in place; env_file and label_file are gone afterwards. Files without use are noted."""
    if "env_file" in service:
        merged: dict[str, str] = {}
        files = []
        for index, entry in enumerate(service.pop("env_file") or ()):
            origin = marks.at(("env_file", index))
            with mistakes.collecting(path=("services", name, "env_file", index), origin=origin):
                files.append(_env_file(entry, merged, origin, source, variables))
                merged.update(files[-1].values)
                if source.exists(entry["path"]):
                    source.service_files.append(ServiceFile(name, "env_file", entry["path"]))
        _note_places(files, marks, "environment")
        if merged or "environment" in service:
            service["environment"] = {**merged, **(service.get("environment") or {})}
    if "label_file" in service:
        labels: dict[str, str] = {}
        files = []
        for index, path in enumerate(service.pop("label_file") or ()):
            origin = marks.at(("label_file", index))
            with mistakes.collecting(path=("services", name, "label_file", index), origin=origin):
                files.append(_label_file(path, origin, source, variables))
                labels.update(files[-1].values)
                source.service_files.append(ServiceFile(name, "label_file", path))
        _note_places(files, marks, "labels")
        service["labels"] = {**labels, **(service.get("labels") or {})}


def _note_places(files: list[EnvFile], marks: Marks, attribute: str) -> None:
    """The lines of files come before the place in the Compose file, if the variable has one."""
    section = marks.children.setdefault(attribute, Marks())
    places: dict[str, list[Origin]] = {}
    for file in files:
        for key, origin in file.origins.items():
            places.setdefault(key, []).append(origin)
    for key, (*before, last) in places.items():
        own = section.children.get(key)
        earlier = Marks(last, {}, tuple(before))
        section.children[key] = own.after(earlier) if own else earlier


def _label_file(path: str, origin: Origin | None, source: Source, variables: Variables) -> EnvFile:
    if not source.exists(path):
        raise LoadError([source.problem(Problem(f"the label file {path}: not found", origin))])
    return load_env_file(source, path, variables, what="the label file")


def _env_file(
    entry: dict[str, Any], known: dict[str, str], origin: Origin | None, source: Source, variables: Variables
) -> EnvFile:
    path = entry["path"]
    if not source.exists(path):
        if not entry.get("required", True):
            return EnvFile({}, {})
        hint = "create it, or write {path: …, required: false}"
        raise LoadError([source.problem(Problem(f"the env file {path}: not found", origin, "", hint))])
    style = entry.get("format") or ""
    if style not in ("", "raw"):
        raise LoadError(
            [source.problem(Problem(f"{style!r} is not a format of env files", origin, "", "use raw"))]
        )
    lookup = variables if style else variables.within(known)
    return load_env_file(source, path, lookup, raw=style == "raw")
