"""Reads container logs: whole, the last lines, from a time on; a reader keeps its place and can go on later."""

import os
from collections.abc import Iterator

from runtime.shim.logs.record import HEADER, Line, LineSplitter, parse_chunks

_BLOCK_BYTES = 1 << 20


class LogReader:
    """One pass over one log file. `read` may be called again whenever the file has grown."""

    __slots__ = ("_descriptor", "_offset", "_splitter", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        self._offset = 0
        self._splitter = LineSplitter()

    def _open(self) -> bool:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def read(self) -> Iterator[Line]:
        """The complete lines that have come since the last call."""
        if not self._open():
            return
        want = _BLOCK_BYTES
        while True:
            block = os.pread(self._descriptor, want, self._offset)
            chunks, used = parse_chunks(block)
            if used == 0:
                if len(block) < want:
                    return
                # One chunk larger than a block: ask for exactly that chunk.
                want = HEADER.unpack_from(block)[1] + HEADER.size
                continue
            want = _BLOCK_BYTES
            self._offset += used
            for chunk in chunks:
                yield from self._splitter.feed(chunk)

    def rest(self) -> Iterator[Line]:
        """The unfinished lines at the end; call it when no more will come."""
        yield from self._splitter.flush()

    def skip_to_tail(self, lines: int) -> list[Line]:
        """Read all there is and keep only the last `lines` (unfinished ones included)."""
        from collections import deque

        kept = deque(self.read(), maxlen=lines)
        return list(kept)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
