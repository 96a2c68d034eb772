"""What is to be loaded: the options every command shares. Light: importing it loads neither YAML nor the schema."""

from collections.abc import Mapping
from typing import NamedTuple


class LoadOptions(NamedTuple):
    """The files, names and environment of one project, as the command line gives them.

    `environ` is the only environment that is consulted, `cwd` the only working directory.
    """

    cwd: str
    environ: Mapping[str, str]
    files: tuple[str, ...] = ()  # -f; "-" = stdin_text
    project_name: str = ""
    project_directory: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()  # named on the command line: their profiles are active
    stdin_text: str | None = None
    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    resolve_env: bool = True
    consistency: bool = True
    all_resources: bool = False  # networks, volumes, … that no active service uses as well
