"""News of files below directories, recursively, also of directories made later (inotify(7))."""

import os
import struct
from collections.abc import Callable, Iterator

from runtime.linux import constants as k
from runtime.linux.syscalls import inotify_add_watch, inotify_init1, inotify_rm_watch

_EVENT = struct.Struct("iIII")
_MASK = (
    k.IN_CLOSE_WRITE
    | k.IN_CREATE
    | k.IN_DELETE
    | k.IN_MOVED_FROM
    | k.IN_MOVED_TO
    | k.IN_ATTRIB
    | k.IN_DONT_FOLLOW
)
_BUFFER_BYTES = 1 << 18


class TreeWatch:
    """`add` what to watch; `fileno` gets readable when there is news; `read` tells the paths.

    `skip` says of a directory that nothing below it matters, so that no watch is spent on it.
    """

    def __init__(self, skip: Callable[[str], bool] = lambda path: False) -> None:
        self._skip = skip
        self._fd = inotify_init1()
        self._paths: dict[int, str] = {}
        self._watches: dict[str, int] = {}

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def add(self, path: str) -> None:
        """Watch a directory with all below it, or a file: by its directory, so that a file put in its place counts.

        Raises OSError; ENOSPC where fs.inotify.max_user_watches is used up.
        """
        if os.path.isdir(path):
            for _ in self._add_tree(path):
                pass
        else:
            self._watch(os.path.dirname(path))

    def read(self) -> set[str]:
        """Paths that were written, made, renamed or removed since the last call; does not block."""
        changed: set[str] = set()
        while True:
            try:
                data = os.read(self._fd, _BUFFER_BYTES)
            except BlockingIOError:
                return changed
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, offset)
                offset += _EVENT.size
                name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
                offset += length
                changed.update(self._take(watch, mask, name))

    def _take(self, watch: int, mask: int, name: str) -> Iterator[str]:
        if mask & k.IN_Q_OVERFLOW:
            # Something was lost, nobody knows what: all that is there counts as changed.
            for directory in list(self._watches):
                yield from self._entries(directory)
            return
        parent = self._paths.get(watch)
        if parent is None or not name:
            return
        path = f"{parent}/{name}"
        yield path
        if mask & k.IN_ISDIR:
            if mask & (k.IN_MOVED_FROM | k.IN_DELETE):
                self._forget(path)
            elif mask & (k.IN_CREATE | k.IN_MOVED_TO):
                # Files may have been made in it before it was watched.
                yield from self._add_tree(path)

    def _add_tree(self, path: str) -> Iterator[str]:
        if self._skip(path) or not self._watch(path):
            return
        for entry in self._entries(path):
            yield entry
            if os.path.isdir(entry) and not os.path.islink(entry):
                yield from self._add_tree(entry)

    @staticmethod
    def _entries(directory: str) -> list[str]:
        try:
            return [f"{directory}/{name}" for name in os.listdir(directory)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _watch(self, path: str) -> bool:
        """False if the directory has gone."""
        try:
            watch = inotify_add_watch(self._fd, path, _MASK | k.IN_ONLYDIR)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._paths[watch] = path
        self._watches[path] = watch
        return True

    def _forget(self, path: str) -> None:
        """A directory that was moved away goes on telling news, under a name that is not its own any more."""
        below = f"{path}/"
        for watched in [item for item in self._watches if item == path or item.startswith(below)]:
            watch = self._watches.pop(watched)
            if self._paths.pop(watch, None) is not None:
                try:
                    inotify_rm_watch(self._fd, watch)
                except OSError:
                    pass  # it was removed, and the watch with it
