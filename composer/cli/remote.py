"""`-f oci://REPOSITORY[:TAG]` and `-f GIT-URL`: Compose files from elsewhere, brought into the cache and used there.

The artifact is that of the reference: one layer for each file, named by annotations.
"""

import os
from hashlib import sha256
from typing import TYPE_CHECKING

from composer.errors import ComposeError
from composer.load.source import DEFAULT_NAMES
from runtime import is_git_url

if TYPE_CHECKING:
    from runtime import Engine

OCI_PREFIX = "oci://"
KIND = "application/vnd.docker.compose.project"
CONFIG_TYPE = "application/vnd.docker.compose.config.empty.v1+json"
FILE_TYPE = "application/vnd.docker.compose.file+yaml"
ENV_TYPE = "application/vnd.docker.compose.envfile"
VERSION_KEY = "com.docker.compose.version"
FILE = "com.docker.compose.file"
EXTENDS = "com.docker.compose.extends"
ENV_FILE = "com.docker.compose.envfile"


def is_remote(file: str) -> bool:
    """Whether a -f option names something that is not on this machine."""
    return file.startswith(OCI_PREFIX) or (is_git_url(file) and not os.path.exists(file))


def fetch_files(engine: "Engine", file: str) -> list[str]:
    """The local paths of the Compose files that a remote name means now. Raises EngineError, ComposeError."""
    name = file.removeprefix(OCI_PREFIX)
    last = name.rstrip("/").rpartition("/")[2].partition("@")[0].partition("#")[0].partition(":")[0]
    key = sha256(file.encode()).hexdigest()[:16]
    # The folder gives the project its name, if its file does not.
    folder = f"{engine.paths.cache}/remote/{key}/{last.removesuffix('.git') or 'project'}"
    fresh = f"{folder}.{os.getpid()}"
    os.makedirs(fresh, mode=0o700)
    try:
        found = (
            _fetch_artifact(engine, name, fresh)
            if file.startswith(OCI_PREFIX)
            else _clone(engine, file, fresh)
        )
        _replace(fresh, folder)
    finally:
        _remove(fresh)
    return [f"{folder}/{path}" for path in found]


def _replace(fresh: str, folder: str) -> None:
    _remove(folder)
    os.rename(fresh, folder)


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _clone(engine: "Engine", url: str, folder: str) -> list[str]:
    engine.images.clone(url, folder)
    for name in DEFAULT_NAMES:
        if os.path.isfile(f"{folder}/{name}"):
            return [name]
    raise ComposeError(f"{url} has no {DEFAULT_NAMES[0]}", hint="name its folder: URL#BRANCH:FOLDER")


def _fetch_artifact(engine: "Engine", name: str, folder: str) -> list[str]:
    files: list[str] = []
    for media_type, annotations, text in engine.images.fetch_artifact(name, KIND, CONFIG_TYPE):
        if media_type == ENV_TYPE:
            _write(folder, annotations.get(ENV_FILE, ""), text, name)
        elif media_type == FILE_TYPE and annotations.get(EXTENDS) == "true":
            _write(folder, annotations.get(FILE, ""), text, name)
        elif media_type == FILE_TYPE:
            # Names of several may be the same.
            files.append(f"compose.{len(files)}.yaml" if files else "compose.yaml")
            _write(folder, files[-1], text, name)
    if not files:
        raise ComposeError(f"{name} has no Compose file")
    return files


def _write(folder: str, path: str, text: str, name: str) -> None:
    """One file of an artifact, which nobody trusts to name only files of its own."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "\0" in path:
        raise ComposeError(f"{name} has a file of the name {path!r}, which leads out of it")
    target = f"{folder}/{path}"
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
