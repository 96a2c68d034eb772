"""Which files make the project, in which directory, with which .env and which name (Compose spec 03, 04)."""

import os
import re
from typing import NamedTuple

from composer.errors import LoadError, NoFileError, Problem
from composer.load.options import LoadOptions
from composer.load.source import (
    DEFAULT_NAMES,
    OVERRIDE_NAMES,
    STDIN,
    Source,
    Variables,
    absolute,
    load_dotenv,
)

_TRUE = {"1", "t", "true", "y", "yes", "on"}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Inputs(NamedTuple):
    """What discovery found. Paths are absolute, "-" is standard input."""

    files: tuple[str, ...]
    working_dir: str
    variables: Variables
    profiles: tuple[str, ...]


def discover(options: LoadOptions, source: Source) -> Inputs:
    """Raises LoadError if no file is found or an env file is missing or malformed."""
    directory = absolute(options.project_directory, options.cwd) if options.project_directory else ""
    files = tuple(_located(file, options.cwd) for file in options.files)
    start = directory or _directory_of(files, options.cwd)
    if not files and not directory:
        named = _from_variable(source.variable("COMPOSE_FILE"), source.variable("COMPOSE_PATH_SEPARATOR"))
        start = _directory_of(tuple(_located(f, options.cwd) for f in named), options.cwd)
    values = _dotenv_layers(options, source, start, {})
    variables = Variables(source, (values,))
    if not files:
        named = _from_variable(variables.get("COMPOSE_FILE"), variables.get("COMPOSE_PATH_SEPARATOR"))
        files = tuple(_located(file, options.cwd) for file in named)
    if not files:
        files = _search(start, source)
    working_dir = directory or _directory_of(files, options.cwd)
    if working_dir != start:
        values = _dotenv_layers(options, source, working_dir, values)
        variables = Variables(source, (values,))
    variables.fix("PWD", options.cwd)  # the reference sets it, whatever the shell says
    return Inputs(files, working_dir, variables, _profiles(options, variables))


def _located(file: str, cwd: str) -> str:
    return STDIN if file == STDIN else absolute(file, cwd)


def _directory_of(files: tuple[str, ...], cwd: str) -> str:
    first = next((file for file in files if file != STDIN), None)
    return os.path.dirname(first) if first else cwd


def _from_variable(value: str | None, separator: str | None) -> list[str]:
    return [part for part in (value or "").split(separator or os.pathsep) if part]


def _profiles(options: LoadOptions, variables: Variables) -> tuple[str, ...]:
    """The active profiles. Without any, the profile without a name is active, as in the reference."""
    if options.profiles:
        return tuple(dict.fromkeys(options.profiles))
    named = (variables.get("COMPOSE_PROFILES") or "").split(",")
    return tuple(dict.fromkeys(p.strip() for p in named))


def _dotenv_layers(
    options: LoadOptions, source: Source, directory: str, known: dict[str, str]
) -> dict[str, str]:
    files = list(options.env_files)
    if not files:
        files = [f for f in (source.variable("COMPOSE_ENV_FILES") or "").split(",") if f]
    values: dict[str, str] = {}
    for file in files:
        path = absolute(file, options.cwd)
        values.update(load_dotenv(source, path, Variables(source, (values, known))))
    if not files and (source.variable("COMPOSE_DISABLE_ENV_FILE") or "").lower() not in _TRUE:
        path = os.path.join(directory, ".env")
        if source.exists(path) and not os.path.isdir(path):
            values = load_dotenv(source, path, Variables(source, (known,)))
    return {**values, **known}


def _search(start: str, source: Source) -> tuple[str, ...]:
    directory = start
    while True:
        for name in DEFAULT_NAMES:
            path = os.path.join(directory, name)
            if source.exists(path):
                overrides = (os.path.join(directory, other) for other in OVERRIDE_NAMES)
                return (path, *[found for found in overrides if source.exists(found)][:1])
        parent = os.path.dirname(directory)
        if parent == directory:
            break
        directory = parent
    hint = f"create compose.yaml in {start}, or name a file with -f"
    raise NoFileError([Problem("no configuration file provided: not found", None, "", hint)])


def project_name(options: LoadOptions, inputs: Inputs, declared: str | None) -> str:
    """The project's name: -p, COMPOSE_PROJECT_NAME, the file's `name`, the directory. Raises LoadError.

    `declared` is None where the files have no `name`.
    """
    for name, where in (
        (options.project_name, "-p"),
        (inputs.variables.get("COMPOSE_PROJECT_NAME") or "", "COMPOSE_PROJECT_NAME"),
    ):
        if name:
            if not _NAME.fullmatch(name):
                hint = "use lower-case letters, digits, '-' and '_', starting with a letter or digit"
                raise LoadError([Problem(f"invalid project name {name!r} from {where}", None, "name", hint)])
            return name
    normal = normalize_name(os.path.basename(inputs.working_dir) if declared is None else declared)
    if normal:
        return normal
    hint = "name the project with `name:` in the file or with -p"
    raise LoadError([Problem("the project name must not be empty", None, "name", hint)])


def normalize_name(name: str) -> str:
    """A name in lower case without the characters that project names may not have."""
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-")
