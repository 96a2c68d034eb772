"""`-f oci://REPOSITORY[:TAG]` and `-f GIT-URL`: Compose files from elsewhere, brought into the cache and used there.

The artifact is that of the reference: one layer for each file, named by annotations.
"""

import errno
import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING

from composer.errors import ComposeError
from composer.load.discovery import normalize_name
from composer.load.source import DEFAULT_NAMES
from runtime import FileLock, is_git_url

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
    """The local paths of the Compose files that a remote name means now. Raises EngineError, ComposeError.

    Each version lies in a folder of its own, CACHE/remote/VERSION/PROJECT, which is made once and from then on left
    alone: containers have bind mounts in it, and users data.
    """
    remote = f"{engine.paths.cache}/remote"
    os.makedirs(remote, mode=0o700, exist_ok=True)
    work = f"{remote}/{sha256(file.encode()).hexdigest()[:16]}.new"
    with FileLock(f"{work}.lock"):
        if not file.startswith(OCI_PREFIX) and (known := _at_hand(engine, file, remote)):
            return known
        _remove(work)  # what a killed command left
        try:
            fresh = f"{work}/files"
            os.makedirs(fresh, mode=0o700)
            if file.startswith(OCI_PREFIX):
                version, found = _fetch_artifact(engine, file.removeprefix(OCI_PREFIX), fresh)
            else:
                version, found = _clone(engine, file, fresh)
            folder = f"{remote}/{version}/{_project_name(file)}"
            if not os.path.isdir(folder):
                _put_in_place(fresh, folder)
        finally:
            _remove(work)
    return [f"{folder}/{path}" for path in found]


def _project_name(file: str) -> str:
    """The folder's name, which is the project's if its file gives it none: the same for every version."""
    address, _, fragment = file.removeprefix(OCI_PREFIX).partition("#")
    below = fragment.partition(":")[2] or _asked_folder(address)
    if below.strip("/"):
        last = below.rstrip("/").rpartition("/")[2]
    elif file.startswith(OCI_PREFIX):
        last = address.partition("@")[0].rpartition("/")[2].partition(":")[0]
    else:  # also user@host:repository.git
        last = address.partition("?")[0].rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
    return normalize_name(last) or "project"


def _asked_folder(address: str) -> str:
    """The folder that the query of a git URL names (`?subdir=FOLDER`)."""
    from urllib.parse import parse_qs

    return parse_qs(address.partition("?")[2]).get("subdir", [""])[0]


def _put_in_place(fresh: str, folder: str) -> None:
    """Durably: nobody fetches a version again that is there."""
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.sync()
    try:
        os.rename(fresh, folder)
    except OSError as error:
        # Another name of the same version was faster.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _at_hand(engine: "Engine", url: str, remote: str) -> list[str]:
    """The Compose file of the commit that a git URL means now, if it has been fetched before; else nothing."""
    folder = f"{remote}/{_git_version(url, engine.images.commit_of(url))}/{_project_name(url)}"
    return [f"{folder}/{name}" for name in DEFAULT_NAMES if os.path.isfile(f"{folder}/{name}")][:1]


def _git_version(url: str, commit: str) -> str:
    address, _, fragment = url.partition("#")
    return _version(address, fragment.partition(":")[2], commit)


def _clone(engine: "Engine", url: str, folder: str) -> tuple[str, list[str]]:
    """The version, which is one of this folder of the repository, and the Compose file."""
    commit = engine.images.clone(url, folder)
    for name in DEFAULT_NAMES:
        if os.path.isfile(f"{folder}/{name}"):
            return _git_version(url, commit), [name]
    raise ComposeError(f"{url} has no {DEFAULT_NAMES[0]}", hint="name its folder: URL#BRANCH:FOLDER")


def _fetch_artifact(engine: "Engine", name: str, folder: str) -> tuple[str, list[str]]:
    """The version, which is that of all that is in the artifact, and the Compose files."""
    files: list[str] = []
    written: list[str] = []
    for media_type, annotations, text in engine.images.fetch_artifact(name, KIND, CONFIG_TYPE):
        if media_type == ENV_TYPE:
            path = annotations.get(ENV_FILE, "")
        elif media_type != FILE_TYPE:
            continue
        elif annotations.get(EXTENDS) == "true":
            path = annotations.get(FILE, "")
        else:
            # Names of several may be the same.
            path = f"compose.{len(files)}.yaml" if files else "compose.yaml"
            files.append(path)
        _write(folder, path, text, name)
        written += (path, text)
    if not files:
        raise ComposeError(f"{name} has no Compose file")
    return _version(*written), files


def _version(*parts: str) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()


def _write(folder: str, path: str, text: str, name: str) -> None:
    """One file of an artifact, which nobody trusts to name only files of its own. Raises ComposeError."""
    if not {"", ".", ".."}.isdisjoint(path.split("/")) or not path.isprintable():
        raise ComposeError(f"{name} has a file of the name {path!r}, which cannot be")
    target = f"{folder}/{path}"
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        descriptor = os.open(
            target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:  # also a file that is the folder of another
        raise ComposeError(f"{name} has a file {path!r} that cannot be written: {error.strerror}") from error
