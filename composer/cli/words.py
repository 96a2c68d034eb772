"""Words of a command line as parts of a ContainerSpec in its JSON form: what `run` and `container run` share."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from composer.errors import ComposeError


def console_size() -> tuple[int, ...]:
    """Lines and columns of the terminal that is standard input, () if it is none."""
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return ()
    return size.lines, size.columns


def parse_entrypoint(text: str) -> tuple[str, ...]:
    """--entrypoint as a shell would split it. Raises ComposeError."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ComposeError(f"--entrypoint {text!r}: {error}") from None


def parse_label(word: str) -> tuple[str, str]:
    """--label NAME=VALUE, or NAME alone. Raises ComposeError."""
    key, _, value = word.partition("=")
    if not key:
        raise ComposeError(f"--label {word!r} is not NAME=VALUE")
    return key, value


def parse_environment(
    words: Sequence[str], files: Sequence[str], defaults: Sequence[str] = ()
) -> dict[str, str]:
    """The variables of `files`, then NAME=VALUE `words`; a bare NAME is taken from the shell or the files `defaults`,
    if it is set there. Raises ComposeError.
    """
    found: dict[str, str] = {}
    for path in files:
        found.update(_read_env(path, required=True))
    outside: dict[str, str] | None = None
    for word in words:
        name, separator, value = word.partition("=")
        if not name:
            raise ComposeError(f"--env {word!r} is not NAME=VALUE")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        else:
            if outside is None:
                outside = {}
                for path in defaults:
                    outside.update(_read_env(path, required=False))
            if name in outside:
                found[name] = outside[name]
    return found


def _read_env(path: str, *, required: bool) -> dict[str, str]:
    from composer.load.dotenv import DotenvError, parse_dotenv

    try:
        with open(path, encoding="utf-8") as file:
            return parse_dotenv(file.read(), os.environ.get).values
    except FileNotFoundError:
        if required:
            raise ComposeError(f"the env file {path}: not found") from None
        return {}
    except (DotenvError, UnicodeDecodeError) as error:
        raise ComposeError(f"the env file {path}: {error}") from None


def parse_volume(text: str, real_name: Callable[[str], str] = lambda name: name) -> dict[str, Any]:
    """--volume as a MountRequest. Relative paths start from the current folder; `real_name` gives a volume's name.

    Raises ComposeError.
    """
    from composer.load.mounts import parse_mount

    try:
        mount = parse_mount(text)
    except ValueError as error:
        raise ComposeError(f"--volume: {error}") from None
    source = str(mount.get("source", ""))
    request = {"target": mount["target"], "read_only": bool(mount.get("read_only"))}
    if mount["type"] == "bind":
        bind = mount["bind"]
        path = os.path.abspath(os.path.expanduser(source))
        return {
            **request,
            "type": "bind",
            "source": path,
            "create_host_path": True,
            "propagation": bind.get("propagation", ""),
        }
    if source:
        request["source"] = real_name(source)
    return {**request, "type": "volume", "nocopy": bool(mount["volume"].get("nocopy"))}


def parse_publish(text: str) -> Iterable[dict[str, Any]]:
    """--publish as PortRequests, one for each port of a range. Raises ComposeError."""
    from composer.load.ports import parse_ports

    try:
        ports = parse_ports(text)
    except ValueError as error:
        raise ComposeError(f"--publish: {error}") from None
    for port in ports:
        first, dash, last = port.get("published", "").partition("-")
        yield {
            "container_port": port["target"],
            "protocol": port["protocol"],
            "host_ip": port.get("host_ip", "").strip("[]"),
            "host_port": int(first or 0),
            "host_port_end": int(last) if dash else 0,
        }
