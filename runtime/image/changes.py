"""Dockerfile instructions that set an imported image's configuration (`image import --change`). Pure."""

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any

from runtime.errors import InvalidError

_LISTS = {"CMD": "Cmd", "ENTRYPOINT": "Entrypoint"}
_TEXTS = {"USER": "User", "WORKDIR": "WorkingDir", "STOPSIGNAL": "StopSignal"}
_KEY = re.compile(r"[^\s=]+\Z")


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """The `config` object of an image configuration (OCI image-spec config.md). Raises InvalidError."""
    config: dict[str, Any] = {}
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction, rest = word.upper(), rest.strip()
        if not rest:
            raise InvalidError(f"change {change!r} has no value")
        if instruction in _LISTS:
            config[_LISTS[instruction]] = _command(rest)
        elif instruction in _TEXTS:
            config[_TEXTS[instruction]] = rest
        elif instruction == "ENV":
            config["Env"] = config.get("Env", []) + [f"{k}={v}" for k, v in _pairs(rest, change)]
        elif instruction == "LABEL":
            config.setdefault("Labels", {}).update(_pairs(rest, change))
        elif instruction == "EXPOSE":
            config.setdefault("ExposedPorts", {}).update({_port(w): {} for w in rest.split()})
        elif instruction == "VOLUME":
            words = json.loads(rest) if rest.startswith("[") else rest.split()
            config.setdefault("Volumes", {}).update({str(word): {} for word in words})
        else:
            raise InvalidError(
                f"change {change!r}: {instruction} can't be used here",
                hint="CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR",
            )
    return config


def _command(text: str) -> list[str]:
    """The exec form, a JSON list, or the shell form."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", text]


def _pairs(text: str, change: str) -> list[tuple[str, str]]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidError(f"change {change!r}: {error}") from error
    if len(words) >= 2 and "=" not in words[0]:  # the old form: ENV key value with spaces
        return [(words[0], text.split(None, 1)[1])]
    pairs = [tuple(word.partition("=")[::2]) for word in words]
    if not all("=" in word and _KEY.match(word.partition("=")[0]) for word in words):
        raise InvalidError(f"change {change!r} is not of the form KEY=value")
    return [(key, value) for key, value in pairs]


def _port(text: str) -> str:
    number, _, protocol = text.partition("/")
    if not number.isdigit() or not 0 < int(number) < 65536 or protocol not in ("", "tcp", "udp", "sctp"):
        raise InvalidError(f"EXPOSE {text}: not a port", hint="write it as 80 or 53/udp")
    return f"{number}/{protocol or 'tcp'}"
