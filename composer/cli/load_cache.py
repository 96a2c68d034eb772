"""What loading a project gave, kept for the next command that loads the same. Light.

An entry is DATA/cache/KIND-KEY.json, KEY a hash of the release, the working directory and the options. It lists every
file that was read or looked for in vain, and every environment variable that was consulted, and holds only while all
of them are as they were. Deleting the cache changes nothing but time.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from composer.load.options import LoadOptions
from composer.version import VERSION
from runtime import read_json, write_json

_FORMAT = 2
# A file changed this recently may change again without a new mtime: its content is compared too.
_YOUNG_NS = 2_000_000_000
# The clock that stamps files runs in ticks; a change this close to the start may have come after it.
_TICK_NS = 20_000_000
_KEPT_ENTRIES = 64
_CODE = ("cli", "load", "model", "plan")


def entry(folder: str, kind: str, options: LoadOptions, *more: object) -> str:
    """The file of an entry; "" where nothing is to be kept: no folder, or files from standard input."""
    if options.stdin_text is not None or not folder:
        return ""
    environ = {name: value for name, value in options.environ.items() if name.startswith("COMPOSE_")}
    parts = [_FORMAT, VERSION, *_code_stamp(), *options._replace(environ=environ), *more]
    key = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
    return f"{folder}/{kind}-{key}.json"


def _code_stamp() -> list[int]:
    """When the code that loads was last replaced: a checkout has one version for many states of the code."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = (package, *(f"{package}/{name}" for name in _CODE), f"{os.path.dirname(package)}/schemas")
    return [os.stat(folder).st_mtime_ns for folder in folders]


def look_up(path: str, options: LoadOptions) -> dict[str, Any] | None:
    """What was kept, or None if something it depended on has changed."""
    if not path:
        return None
    try:
        known = read_json(path)
        if known is None:
            return None
        if any(_hash_value(options.environ.get(name)) != value for name, value in known["variables"].items()):
            return None
        if any(not _is_unchanged(*file) for file in known["inputs"]):
            return None
        content: dict[str, Any] = known["content"]
    except (OSError, ValueError, TypeError, KeyError):
        return None  # damaged or of another release: it is simply made anew
    return content


def now_ns() -> int:
    """The moment a load starts, to be handed to `keep`."""
    return time.time_ns() - _TICK_NS


def keep(
    path: str,
    options: LoadOptions,
    started_ns: int,
    inputs: Iterable[str],
    variables: Iterable[str],
    content: Mapping[str, Any],
) -> None:
    """Store what a load gave, unless a file changed since it started."""
    if not path:
        return
    described = [_describe_file(name) for name in inputs]
    if any(file[1] is not None and file[1] >= started_ns for file in described):
        return
    hashes = {name: _hash_value(options.environ.get(name)) for name in variables}
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        document = {"inputs": described, "variables": hashes, "content": content}
        write_json(path, document, durable=False)
        _forget_old(path)
    except OSError:
        return  # a cache that cannot be written costs time at the next command, nothing else


def _forget_old(path: str) -> None:
    folder, name = os.path.split(path)
    kind = name.partition("-")[0]
    entries = [entry for entry in os.scandir(folder) if entry.name.startswith(f"{kind}-")]
    if len(entries) > _KEPT_ENTRIES:
        entries.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for old in entries[: len(entries) - _KEPT_ENTRIES]:
            os.unlink(old.path)


def _hash_value(value: str | None) -> str | None:
    return None if value is None else sha256(value.encode(errors="surrogateescape")).hexdigest()


def _describe_file(name: str) -> list[Any]:
    """[path, mtime (ns) or None where there is no such file, size, inode, content hash or None]."""
    try:
        status = os.stat(name)
    except OSError:
        return [name, None, 0, 0, None]
    young = time.time_ns() - status.st_mtime_ns < _YOUNG_NS
    return [name, status.st_mtime_ns, status.st_size, status.st_ino, _hash_file(name) if young else None]


def _hash_file(name: str) -> str:
    try:
        with open(name, "rb") as stream:
            return sha256(stream.read()).hexdigest()
    except IsADirectoryError:
        return ""


def _is_unchanged(name: str, mtime_ns: int | None, size: int, inode: int, content: str | None) -> bool:
    try:
        status = os.stat(name)
    except OSError:
        return mtime_ns is None
    if (status.st_mtime_ns, status.st_size, status.st_ino) != (mtime_ns, size, inode):
        return False
    return content is None or _hash_file(name) == content
