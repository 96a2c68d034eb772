"""Appends what a container prints to its log file."""

import os
import time

from runtime.shim.logs.record import pack_header


class LogWriter:
    """The one writer of a container's log."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, stream: int, data: bytes) -> None:
        """Append one chunk. On a full disk output is dropped until there is room: the container goes on."""
        header = pack_header(time.time_ns(), stream, len(data))
        try:
            written = os.writev(self._descriptor, (header, data))
        except OSError:
            return
        if written < len(header) + len(data):
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)

    def close(self) -> None:
        os.close(self._descriptor)
