"""The short form of `volumes`: [SOURCE:]TARGET[:OPTIONS] (Compose spec 05-services: volumes, short syntax). Pure."""

import posixpath
from typing import Any

_PROPAGATION = {"private", "rprivate", "shared", "rshared", "slave", "rslave"}


def parse_mount(text: str) -> dict[str, Any]:
    """The long form of one short form. Raises ValueError with what is wrong."""
    if not text:
        raise ValueError("an empty text is not a volume")
    if len(text) <= 2:
        return {"type": "volume", "target": text, "volume": {}}
    parts = _split(text)
    if any(not part for part in parts):
        raise ValueError(f"the volume {text!r} has an empty section between colons")
    if len(parts) == 1:
        return {"type": "volume", "target": _cleaned(parts[0]), "volume": {}}
    if len(parts) > 3:
        raise ValueError(f"the volume {text!r} has too many colons")
    mount: dict[str, Any] = {"type": "volume", "source": parts[0], "target": _cleaned(parts[1])}
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    for option in ",".join(parts[2:]).split(","):
        if option == "ro":
            mount["read_only"] = True
        elif option == "nocopy":
            volume["nocopy"] = True
        elif option in ("z", "Z"):
            bind["selinux"] = option
        elif option in _PROPAGATION:
            bind["propagation"] = option
    if is_host_path(parts[0]):
        return {**mount, "type": "bind", "bind": {**bind, "create_host_path": True}}
    return {**mount, "volume": volume} if not bind else {**mount, "volume": volume, "bind": bind}


def _split(text: str) -> list[str]:
    """At colons, but not after a drive letter nor within a reference that has not been replaced."""
    parts, current, braces = [], "", 0
    for index, character in enumerate(text):
        if character == "{" and (braces or text[index - 1 : index] == "$"):
            braces += 1
        elif character == "}" and braces:
            braces -= 1
        if character == ":" and not braces and not (len(current) == 1 and current.isalpha()):
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _cleaned(target: str) -> str:
    return posixpath.normpath(target).replace("//", "/", 1) if target.startswith("/") else target


def is_host_path(source: str) -> bool:
    """Whether a volume's source is a path of the host rather than a volume's name."""
    if source[:1] in ("/", ".", "~", "\\"):
        return True
    return is_windows_path(source)


def is_windows_path(path: str) -> bool:
    """Whether a path starts with a drive letter or a double backslash."""
    return path.startswith("\\\\") or (len(path) > 1 and path[0].isalpha() and path[1] == ":")
