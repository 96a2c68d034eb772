"""env_file and label_file of active services read and laid under `environment` and `labels`."""

from typing import Any

from composer.errors import LoadError, Origin, Problem
from composer.load.origins import Marks
from composer.load.source import Source, Variables, load_dotenv, load_raw_env


def apply_files(service: dict[str, Any], marks: Marks, source: Source, variables: Variables) -> None:
    """Changes the service in place; env_file and label_file are gone afterwards. Raises LoadError."""
    if "env_file" in service:
        files = service.pop("env_file")
        merged: dict[str, Any] = {}
        for index, entry in enumerate(files or ()):
            origin = marks.at(("env_file", index))
            merged.update(_env_file(entry, merged, origin, source, variables))
        own = service.get("environment") or {}
        if merged or "environment" in service:
            service["environment"] = {**merged, **own}
    if "label_file" in service:
        labels: dict[str, Any] = {}
        for index, path in enumerate(service.pop("label_file") or ()):
            if not source.exists(path):
                origin = marks.at(("label_file", index))
                raise LoadError([source.problem(Problem(f"the label file {path}: not found", origin))])
            labels.update(load_dotenv(source, path, variables, "the label file"))
        service["labels"] = {**labels, **(service.get("labels") or {})}


def _env_file(
    entry: dict[str, Any], known: dict[str, str], origin: Origin | None, source: Source, variables: Variables
) -> dict[str, str]:
    path = entry["path"]
    if not source.exists(path):
        if not entry.get("required", True):
            return {}
        hint = "create it, or write {path: …, required: false}"
        raise LoadError([source.problem(Problem(f"the env file {path}: not found", origin, "", hint))])
    style = entry.get("format") or ""
    if style == "raw":
        return load_raw_env(source, path, variables)
    if style:
        raise LoadError(
            [source.problem(Problem(f"{style!r} is not a format of env files", origin, "", "use raw"))]
        )
    return load_dotenv(source, path, variables.within(known))
