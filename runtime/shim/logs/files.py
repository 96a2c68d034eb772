"""One log file and those rotated out of it: PATH, PATH.1, PATH.2.gz, …, the newest first, as Docker names them."""

import os
import signal

from runtime.linux import constants as k
from runtime.linux.syscalls import close_range, prctl
from runtime.shim.loop import Loop

_BLOCK_BYTES = 1 << 20


class LogFile:
    """Appends whole records. On a full disk they are dropped until there is room: the container goes on.

    A file is full at `max_bytes` (0 = never); `max_files` counts the one that is written. Compressing is done by a
    child, while the container goes on.
    """

    __slots__ = ("_child", "_compress", "_descriptor", "_loop", "_max_bytes", "_max_files", "_path", "_size")

    def __init__(
        self, path: str, loop: Loop, *, max_bytes: int = 0, max_files: int = 1, compress: bool = False
    ) -> None:
        self._path = path
        self._loop = loop
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._compress = compress
        self._child: tuple[int, int] | None = None  # pid and pidfd of who compresses
        if compress:
            import zlib  # noqa: F401 (now: nothing is imported once the container runs)
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def room(self) -> int | None:
        """How many bytes still belong into the present file; None = any number."""
        return max(0, self._max_bytes - self._size) if self._max_bytes else None

    def position(self) -> int:
        """Where in its file the next record begins; a full file is rotated away first."""
        if self._max_bytes and self._size >= self._max_bytes:
            self._rotate()
        return self._size

    def append(self, *parts: bytes) -> None:
        """Write one record, into a new file if the present one is full."""
        self.position()
        length = sum(map(len, parts))
        try:
            written = os.writev(self._descriptor, parts)
        except OSError:
            return
        if written < length:
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
        else:
            self._size += length

    def _rotate(self) -> None:
        self._finish_child()
        try:
            if self._max_files == 1:
                os.unlink(self._path)
            for number in range(self._max_files - 1, 0, -1):
                for suffix in (".gz", ""):
                    self._move(number, suffix)
        except OSError:
            return  # no room for a name: the present file goes on growing
        os.close(self._descriptor)
        self._open()
        if self._compress:
            self._begin_compressing()

    def _move(self, number: int, suffix: str) -> None:
        """The file before `number` becomes `number`; what was there is gone."""
        older = f"{self._path}.{number - 1}{suffix}" if number > 1 else self._path
        if number == 1 and suffix:
            return
        try:
            os.rename(older, f"{self._path}.{number}{suffix}")
        except FileNotFoundError:
            return
        try:
            os.unlink(f"{self._path}.{number}{'' if suffix else '.gz'}")
        except FileNotFoundError:
            pass

    # ---- compressing

    def _begin_compressing(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                # No lock and no socket of the shim must outlive it here.
                close_range(3)
                prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() == parent:
                    compress(f"{self._path}.1")
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        self._child = (pid, pidfd)
        self._loop.watch(pidfd, self._finish_child)

    def _finish_child(self) -> None:
        if self._child is not None:
            pid, pidfd = self._child
            self._child = None
            self._loop.forget(pidfd)
            os.waitpid(pid, 0)
            os.close(pidfd)

    def close(self) -> None:
        self._finish_child()
        os.close(self._descriptor)


def compress(path: str) -> None:
    """Put PATH.gz in the place of PATH, with its time of change, by which readers know what follows what."""
    import zlib

    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    times = os.fstat(source)
    target = os.open(f"{path}.gz.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    while block := os.read(source, _BLOCK_BYTES):
        _write_all(target, packer.compress(block))
    _write_all(target, packer.flush())
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.rename(f"{path}.gz.new", f"{path}.gz")
    os.unlink(path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
