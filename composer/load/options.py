"""What a load is asked for and what it gives. Light: importable without YAML, the schema or the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.errors import Origin

if TYPE_CHECKING:
    from composer.model.project import Project


class LoadOptions(NamedTuple):
    """The command line and environment a project is loaded with; nothing else is consulted."""

    cwd: str
    environ: Mapping[str, str]
    files: tuple[str, ...] = ()  # -f; "-" = `stdin_text`
    project_name: str = ""  # -p
    project_directory: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()  # "*" = all
    stdin_text: str | None = None
    services: tuple[str, ...] = ()  # named on the command line: their profiles are activated
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    resolve_env: bool = True
    consistency: bool = True


class LoadResult(NamedTuple):
    """A loaded project. `tree` is what `config` prints; `canonical` the tree that `project` was bound from."""

    project: "Project"
    tree: dict[str, Any]
    warnings: tuple[str, ...]  # complete lines
    inputs: tuple[tuple[str, bool], ...]  # (path, exists) of every file read or looked for
    variables: tuple[str, ...]  # every environment variable consulted
    canonical: Mapping[str, Any]
    origins: Mapping[tuple[str | int, ...], Origin]
