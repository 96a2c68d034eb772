"""Passwords for registries: Docker's config.json, podman's auth.json, and credential helpers.

    $REGISTRY_AUTH_FILE                                            alone, where it is set
    $DOCKER_CONFIG/config.json or ~/.docker/config.json            `login` writes here
    $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json

containers-auth.json(5); helpers speak docker-credential-helpers' protocol: `docker-credential-NAME get|store|erase`.
"""

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.errors import EngineError, InvalidError, NotFoundError, StateError
from runtime.image.registry.endpoints import DOCKER_HUB
from runtime.store.files import write_file

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT_S = 60


class Credentials(NamedTuple):
    """A user and a password, or an identity token to trade for tokens."""

    username: str = ""
    password: str = ""
    identity_token: str = ""


def find_credentials(
    registry: str, repository: str = "", environ: Mapping[str, str] | None = None
) -> Credentials | None:
    """What to say to a registry, or None. Raises StateError for a damaged file, EngineError for a helper's failure."""
    environ = os.environ if environ is None else environ
    for path in _files(environ):
        document = _read(path)
        if document is None:
            continue
        found = _from_helper(document, registry) or _from_auths(document, registry, repository, path)
        if found is not None:
            return found
    return None


def store_credentials(
    registry: str, credentials: Credentials, environ: Mapping[str, str] | None = None
) -> str:
    """Remember what a login proved right; where it went."""
    environ = os.environ if environ is None else environ
    path = _files(environ)[0]
    document = _read(path) or {}
    helper = _helper(document, registry)
    key = _key(registry)
    if helper:
        secret = {"ServerURL": key, "Username": credentials.username, "Secret": credentials.password}
        if credentials.identity_token:
            secret |= {"Username": "<token>", "Secret": credentials.identity_token}
        _call_helper(helper, "store", json.dumps(secret))
        return f"docker-credential-{helper}"
    entry: dict[str, str] = {}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token
    text = f"{credentials.username}:{'' if credentials.identity_token else credentials.password}"
    entry["auth"] = base64.b64encode(text.encode()).decode()
    document.setdefault("auths", {})[key] = entry
    _write(path, document)
    return path


def forget_credentials(registry: str, environ: Mapping[str, str] | None = None) -> None:
    """Forget a registry everywhere. Raises NotFoundError where nothing was known."""
    environ = os.environ if environ is None else environ
    known = False
    for path in _files(environ):
        document = _read(path)
        if document is None:
            continue
        helper = _helper(document, registry)
        if helper:
            known = _call_helper(helper, "get", _key(registry), missing_ok=True) != "" or known
            _call_helper(helper, "erase", _key(registry), missing_ok=True)
        auths = document.get("auths") or {}
        gone = [key for key in auths if _host_of(key) == _host_of(_key(registry))]
        if gone:
            document["auths"] = {key: value for key, value in auths.items() if key not in gone}
            _write(path, document)
            known = True
    if not known:
        raise NotFoundError(f"not logged in to {registry}")


def _files(environ: Mapping[str, str]) -> list[str]:
    if environ.get("REGISTRY_AUTH_FILE"):
        return [environ["REGISTRY_AUTH_FILE"]]
    home = environ.get("HOME") or os.path.expanduser("~")
    files = [f"{environ.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"]
    if environ.get("XDG_RUNTIME_DIR"):
        files.append(f"{environ['XDG_RUNTIME_DIR']}/containers/auth.json")
    files.append(f"{environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json")
    return files


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read() or b"{}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StateError(f"{path} can't be read: {error}") from error
    if not isinstance(document, dict):
        raise StateError(f"{path} is no JSON object")
    return document


def _write(path: str, document: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    write_file(path, json.dumps(document, indent="\t").encode() + b"\n")


def _key(registry: str) -> str:
    return _HUB_KEY if registry == DOCKER_HUB else registry


def _host_of(key: str) -> str:
    host = key.split("://", 1)[-1].partition("/")[0]
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io", DOCKER_HUB) else host


def _from_auths(document: Mapping[str, Any], registry: str, repository: str, path: str) -> Credentials | None:
    auths = document.get("auths")
    if not isinstance(auths, Mapping):
        return None
    # podman's file may name a repository or a part of it; the longest that fits wins.
    parts = f"{registry}/{repository}".rstrip("/").split("/")
    keys = ["/".join(parts[:length]) for length in range(len(parts), 1, -1)]
    for key in [*keys, _key(registry), registry]:
        if key in auths:
            return _decode(auths[key], path)
    for key, entry in auths.items():
        if _host_of(key) == registry and ("://" in key or "/" not in key):
            return _decode(entry, path)
    return None


def _decode(entry: Any, path: str) -> Credentials | None:
    if not isinstance(entry, Mapping):
        return None
    token = str(entry.get("identitytoken") or "")
    if entry.get("auth"):
        try:
            text = base64.b64decode(str(entry["auth"])).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise StateError(f"{path} has an entry that is no base64: {error}") from error
        username, _, password = text.partition(":")
        return Credentials(username, password.rstrip("\0"), token)
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password") or ""), token)
    return Credentials(identity_token=token) if token else None


def _helper(document: Mapping[str, Any], registry: str) -> str:
    helpers = document.get("credHelpers")
    named = helpers.get(registry) or helpers.get(_key(registry)) if isinstance(helpers, Mapping) else None
    return str(named or document.get("credsStore") or "")


def _from_helper(document: Mapping[str, Any], registry: str) -> Credentials | None:
    helper = _helper(document, registry)
    if not helper:
        return None
    text = _call_helper(helper, "get", _key(registry), missing_ok=True)
    if not text:
        return None
    try:
        answer = json.loads(text)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"docker-credential-{helper} gave no credentials but {text[:80]!r}") from error
    if username == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username, secret)


def _call_helper(helper: str, verb: str, text: str, *, missing_ok: bool = False) -> str:
    if "/" in helper:
        raise InvalidError(f"credential helper {helper!r}: a name without folders is needed")
    program = f"docker-credential-{helper}"
    try:
        answer = subprocess.run(
            [program, verb],
            input=text,
            capture_output=True,
            text=True,
            timeout=_HELPER_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotFoundError(
            f"credential helper {program} is not installed", hint="install it, or take it out of config.json"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"credential helper {program} failed: {error}") from error
    if answer.returncode != 0:
        said = (answer.stdout or answer.stderr).strip()
        if missing_ok and ("not found" in said or verb == "erase"):
            return ""
        raise EngineError(f"credential helper {program} {verb} failed: {said[:200]}")
    return answer.stdout.strip()
