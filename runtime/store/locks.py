"""Locks on files: open-file-description locks (fcntl(2), F_OFD_SETLK), released by the kernel with their holder.

They belong to the open file, so a forked child that keeps the descriptor keeps the lock: children close it.
"""

import errno
import fcntl
import os
import struct
import time

_FLOCK = struct.Struct("@hhqqi0q")


def _request(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file without waiting; False if somebody else has it."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_locked(path: str) -> bool:
    """Whether somebody holds the lock of `path`. A missing file is not locked. Takes nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
    finally:
        os.close(descriptor)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


class FileLock:
    """An exclusive lock on a file that is made for it and removed after it.

    The file is unlinked only under the lock; a taker compares the inode of what it locked with what the
    path names now, so that two holders of two files of one name cannot be.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def fileno(self) -> int:
        """The descriptor of the locked file: whoever gets a copy of it holds the lock as well. -1 if not held."""
        return self._descriptor

    def taken(self) -> bool:
        """Whether somebody holds it. Takes nothing."""
        return is_locked(self.path)

    def acquire(self, *, timeout_s: float | None = None) -> bool:
        """Wait for the lock, at most `timeout_s` seconds; False if it was not had by then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not self._lock(descriptor, deadline):
                os.close(descriptor)
                return False
            if _same_file(descriptor, self.path):
                self._descriptor = descriptor
                return True
            os.close(descriptor)

    def _lock(self, descriptor: int, deadline: float | None) -> bool:
        if deadline is None:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK))
            return True
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def release(self) -> None:
        """Give the lock back and remove its file; nothing happens if it is not held."""
        if self._descriptor < 0:
            return
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> "FileLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _same_file(descriptor: int, path: str) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
