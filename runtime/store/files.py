"""Files that change atomically: a reader sees the old content or the new, never a part."""

import json
import os
from collections.abc import Mapping
from typing import Any


def write_file(path: str, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` by a file with `data`: write beside it, fsync, rename(2).

    `durable=False` leaves out the fsync, for STATE (a tmpfs). Raises OSError.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    os.rename(temporary, path)


def write_json(path: str, document: Mapping[str, Any], *, mode: int = 0o600, durable: bool = True) -> None:
    """`write_file` with a JSON object."""
    write_file(path, json.dumps(document, separators=(",", ":")).encode(), mode=mode, durable=durable)


def read_json(path: str) -> dict[str, Any] | None:
    """The JSON object in `path`, or None where there is no such file. Raises ValueError for damaged content."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        size = os.fstat(descriptor).st_size
        data = os.read(descriptor, max(size, 1))
    finally:
        os.close(descriptor)
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError(f"{path}: not a JSON object")
    return document


def remove_file(path: str) -> None:
    """unlink(2); a missing file is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_tree(path: str) -> None:
    """Delete a folder with all below it, without following links; what is already gone is fine."""
    try:
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        remove_file(path)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            remove_file(entry.path)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
