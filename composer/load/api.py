"""`composer.load(...)`: the library's way to a Project."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from composer.load.options import LoadOptions

if TYPE_CHECKING:
    from composer.model.project import Project


def load(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    directory: str | os.PathLike[str] = "",
    project_name: str = "",
    project_directory: str | os.PathLike[str] = "",
    env_files: Sequence[str | os.PathLike[str]] = (),
    profiles: Sequence[str] = (),
    services: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> "Project":
    """The project that Compose files describe: merged, interpolated, validated, in typed form.

    `files` are what `-f` names, one or several; without any they are searched for as the command does, from
    `directory` (default: the working directory) upwards. `text` is a Compose file as text instead. `environ` is
    where variables come from (default: the process's environment). `profiles` and `services` activate services as
    the command line does. Each warning, a complete line, is handed to `on_warning`.

    Raises composer.LoadError with every problem found, each with file, line and column; composer.SelectionError for
    a service that does not exist.
    """
    from composer.load.pipeline import load_project

    named = [files] if isinstance(files, str | os.PathLike) else list(files)
    options = LoadOptions(
        cwd=os.path.abspath(os.fspath(directory) or os.getcwd()),
        environ=dict(os.environ if environ is None else environ),
        files=("-",) if text is not None else tuple(os.fspath(file) for file in named),
        project_name=project_name,
        project_directory=os.fspath(project_directory),
        env_files=tuple(os.fspath(file) for file in env_files),
        profiles=tuple(profiles),
        services=tuple(services),
        stdin_text=text,
    )
    result = load_project(options)
    for warning in result.warnings if on_warning is not None else ():
        on_warning(warning.removeprefix("warning: "))  # type: ignore[misc]
    return result.project
