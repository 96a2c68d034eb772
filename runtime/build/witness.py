"""What a build looked at: the files and images that decide its outcome, with stamps that change when they do.

A stamp is made of what the kernel keeps about a file. The time of its last change (ctime) cannot be set by anybody, so
a file of other content has another stamp, with one exception: a change within the same tick of the clock, right after
the first look. What was young when it was looked at is therefore not relied upon (as git treats "racy" entries).
"""

import os
import time
from collections.abc import Mapping
from typing import Any

Stamp = list[int]

# The coarsest clock of a file system that a context may lie on (FAT's).
_TICK_NS = 2_000_000_000
_MOST_FILES = 50_000


def stamp_of(status: os.stat_result) -> Stamp:
    """What changes with a file's content, kind, mode, owner, name or place."""
    return [
        status.st_dev,
        status.st_ino,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


class Witness:
    """Gathers what one build looks at. It is not `reliable` once something was of no use for a comparison."""

    def __init__(self) -> None:
        self.reliable = True
        self.files: dict[str, Stamp] = {}  # looked at themselves, also where they are links (lstat)
        self.opened: dict[str, Stamp | None] = {}  # what a name led to (stat); None: nothing was there
        self.passed: dict[str, list[int]] = {}  # folders on the way to a file: device and inode
        self.roots: dict[str, str] = {}  # folders as they were named -> without links
        self.images: dict[str, str] = {}  # names -> digests of manifests

    def give_up(self) -> None:
        """What was looked at now cannot be compared later: something of the network, or behind links."""
        self.reliable = False

    def saw(self, path: str, status: os.stat_result) -> None:
        """A file, or a folder with its names, as lstat(2) describes it."""
        self.files[path] = self._stamp(status)
        if len(self.files) > _MOST_FILES:
            self.give_up()
            self.files.clear()

    def passed_through(self, folder: str) -> None:
        """A folder on the way to a file, which may change but not become another one, or a link. Raises OSError."""
        self.passed[folder] = _place_of(folder)

    def saw_opened(self, path: str, status: os.stat_result | None) -> None:
        """What opening `path` gave, or that there is nothing."""
        self.opened[path] = None if status is None else self._stamp(status)

    def _stamp(self, status: os.stat_result) -> Stamp:
        if time.time_ns() - max(status.st_ctime_ns, status.st_mtime_ns) < _TICK_NS:
            self.give_up()
        return stamp_of(status)

    def to_json(self) -> dict[str, Any]:
        return vars(self)

    def add(self, other: Mapping[str, Any]) -> None:
        """What a process of the same build saw, in JSON form."""
        self.reliable = self.reliable and other["reliable"]
        for name in ("files", "opened", "passed", "roots", "images"):
            getattr(self, name).update(other[name])


def is_as_seen(seen: Mapping[str, Any]) -> bool:
    """Whether all files of a witness (in JSON form) are as they were. Its images are for others to compare."""
    try:
        return (
            all(os.path.realpath(name) == root for name, root in seen["roots"].items())
            and all(stamp_of(os.lstat(path)) == stamp for path, stamp in seen["files"].items())
            and all(_place_of(path) == place for path, place in seen["passed"].items())
            and all(_stamp_opened(path) == stamp for path, stamp in seen["opened"].items())
        )
    except OSError:
        return False


def _place_of(path: str) -> list[int]:
    status = os.lstat(path)
    return [status.st_dev, status.st_ino]


def _stamp_opened(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))
    except FileNotFoundError:
        return None
