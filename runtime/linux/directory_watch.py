"""News that something in a directory was written, made or renamed (inotify(7))."""

import os

from runtime.linux import constants as k
from runtime.linux.syscalls import inotify_add_watch, inotify_init1

_ANY = k.IN_MODIFY | k.IN_CREATE | k.IN_MOVED_TO
_BUFFER_BYTES = 1 << 16


class DirectoryWatch:
    """`fileno` gets readable when there is news; `drain` forgets it."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def drain(self) -> None:
        try:
            while os.read(self._descriptor, _BUFFER_BYTES):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._descriptor)


def watch_directory(path: str) -> DirectoryWatch:
    """Watch a directory, not what is below it. Raises OSError."""
    descriptor = inotify_init1()
    try:
        inotify_add_watch(descriptor, path, _ANY | k.IN_ONLYDIR)
    except BaseException:
        os.close(descriptor)
        raise
    return DirectoryWatch(descriptor)
