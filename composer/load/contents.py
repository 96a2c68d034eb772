"""What secrets, configs and seccomp profiles hold: read where it is known, kept apart from all that is shown.

What is missing is no error yet: `down` and `ps` do not need it. It is told when a container is to be made with it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import NamedTuple

from composer.errors import Origin
from composer.load.origins import Path
from composer.load.result import LoadResult
from composer.model.project import Config, Secret
from composer.plan.desired import FILE, PROBLEM, TEXT, Content
from composer.translate_host import seccomp_files
from composer.translate_models import MODEL_RUNNER

_CHUNK = 1 << 20


class Contents(NamedTuple):
    """By "secrets/NAME", "configs/NAME", "seccomp/PATH", "models/url"; and what they were made from, for the cache."""

    items: Mapping[str, Content]
    inputs: tuple[str, ...]
    variables: tuple[str, ...]


def load_contents(result: LoadResult) -> Contents:
    """The contents of every secret and config that an active service is granted."""
    items: dict[str, Content] = {}
    inputs: list[str] = []
    variables: list[str] = []
    for name, item, path in _granted(result):
        origin = result.marks.at(path)
        place = f"{origin}: " if origin else ""
        if item.external:
            items[name] = _problem(place, name, "is external, and there is nobody to get it from")
        elif item.file:
            inputs.append(item.file)
            items[name] = _of_file(place, name, item.file)
        elif item.environment:
            variables.append(item.environment)
            value = result.sources.environment.get(item.environment)
            items[name] = (
                _problem(place, name, f"comes from the variable {item.environment}, which is not set")
                if value is None
                else _of_text(value)
            )
        else:
            items[name] = _of_text((item.content or "") if isinstance(item, Config) else "")
    for service in result.project.services.values():
        for option, name in seccomp_files(service).items():
            file = os.path.join(result.project.working_dir, os.path.expanduser(name))
            inputs.append(file)
            origin = result.marks.at(("services", service.name, "security_opt"))
            items[f"seccomp/{name}"] = _profile(f"{origin}: " if origin else "", option, file)
        if service.models:
            variables.append(MODEL_RUNNER)
            origin = result.marks.at(("services", service.name, "models"))
            items["models/url"] = _runner(origin, result.sources.environment.get(MODEL_RUNNER))
    return Contents(items, tuple(inputs), tuple(variables))


def _runner(origin: Origin | None, address: str | None) -> Content:
    if address:
        return _of_text(address)
    place = f"{origin}: " if origin else ""
    what = f"models need a model runner: set {MODEL_RUNNER} to the address of its OpenAI-compatible API"
    return Content(PROBLEM, f"{place}{what}", "")


def _profile(place: str, option: str, path: str) -> Content:
    """A seccomp profile's JSON without its blanks."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        return Content(PROBLEM, f"{place}security_opt {option}: {path}: {(error.strerror or '').lower()}", "")
    except ValueError as error:
        return Content(PROBLEM, f"{place}security_opt {option}: {path} is not JSON: {error}", "")
    return _of_text(json.dumps(document, separators=(",", ":")))


def _granted(result: LoadResult) -> Iterator[tuple[str, Secret | Config, Path]]:
    project = result.project
    services = project.services.values()
    secrets = {grant.source for service in services for grant in service.secrets}
    configs = {grant.source for service in services for grant in service.configs}
    for key in sorted(secrets & set(project.secrets)):
        yield f"secrets/{key}", project.secrets[key], ("secrets", key)
    for key in sorted(configs & set(project.configs)):
        yield f"configs/{key}", project.configs[key], ("configs", key)


def _problem(place: str, name: str, what: str) -> Content:
    section, _, key = name.partition("/")
    return Content(PROBLEM, f"{place}the {section[:-1]} {key!r} {what}", "")


def _of_text(value: str) -> Content:
    return Content(TEXT, value, sha256(value.encode(errors="surrogateescape")).hexdigest())


def _of_file(place: str, name: str, path: str) -> Content:
    digest = sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else (error.strerror or "").lower()
        return _problem(place, name, f"is the file {os.path.abspath(path)}: {reason}")
    return Content(FILE, path, digest.hexdigest())
