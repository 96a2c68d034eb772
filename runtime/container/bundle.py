"""A bundle: a folder with a config.json and the root filesystem it names (bundle.md)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from runtime.errors import InvalidError, NotFoundError
from runtime.oci.validate import check_process, check_spec

if TYPE_CHECKING:
    from runtime.oci.spec import Process, Spec

CONFIG = "config.json"


def load_bundle(bundle: str, config: str = "") -> Spec:
    """The checked configuration; paths relative to the bundle are absolute in it.

    `config` names another file than config.json, relative to the current directory or the bundle.
    Raises NotFoundError, InvalidError, UnsupportedError.
    """
    path = os.path.join(bundle, config or CONFIG)
    if config and not os.path.exists(path) and os.path.exists(config):
        path = config
    spec = check_spec(_load(path))
    spec["root"]["path"] = root = os.path.realpath(os.path.join(bundle, spec["root"]["path"]))
    if not os.path.isdir(root):
        raise NotFoundError(f"root filesystem {root} is not a directory", hint="root.path of config.json")
    for name in ("dev", "proc", "sys"):
        # Engines and programs take these for what they are; an image has no reason to send them elsewhere.
        if os.path.islink(f"{root}/{name}"):
            raise InvalidError(
                f"{root}/{name} is a symbolic link", hint="an image's /dev, /proc and /sys are folders"
            )
    for mount in spec.get("mounts", ()):
        source, words = mount.get("source", ""), mount.get("options", [])
        binds = mount.get("type") == "bind" or "bind" in words or "rbind" in words
        if binds and not source.startswith("/"):
            mount["source"] = os.path.join(bundle, source)
    return spec


def load_process(path: str) -> Process:
    """A process.json, as `exec --process` takes it. Raises NotFoundError, InvalidError."""
    return check_process(_load(path))


def _load(path: str) -> object:
    try:
        with open(path, "rb") as file:
            text = file.read()
        data: object = json.loads(text)
    except FileNotFoundError:
        raise NotFoundError(f"no file {path}", hint="a bundle is a folder with a config.json") from None
    except ValueError as error:
        raise InvalidError(f"{path} is not valid JSON: {error}") from None
    if b"\\u0000" in text and "\0" in _texts(data):
        raise InvalidError(
            f"{path}: a NUL character in a text", hint="no path, name or argument can hold one"
        )
    return data


def _texts(value: object) -> str:
    """All texts of a document, keys too."""
    if isinstance(value, dict):
        return "".join(map(_texts, (*value.keys(), *value.values())))
    if isinstance(value, list):
        return "".join(map(_texts, value))
    return value if isinstance(value, str) else ""
