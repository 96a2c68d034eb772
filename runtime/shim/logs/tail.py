"""The end of a log without the rest of it: where to begin to read, and whether that was far enough back."""

import os
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from runtime.shim.logs.record import WINDOW_BYTES, Line, begins_record

# Lines within the first bytes that are read may have begun before them, so they do not count.
_RUN_UP_BYTES = WINDOW_BYTES
_RECORD_BYTES = 100  # what a line takes beside its text, at most
_UNPACKED_FACTOR = 8  # what compressing a log saves, roughly


class LogPart(NamedTuple):
    """An open file of a log; `packed`: by gzip."""

    descriptor: int
    packed: bool


def find_beginning(parts: Sequence[LogPart], window: int, *, lines: bool) -> tuple[int, int]:
    """The part and the offset in it that lie `window` bytes and the run-up before the end of a log.

    `parts` are the newest first. `lines`: a record is a line; else they are the engine's own.
    """
    wanted = window + _RUN_UP_BYTES
    for number, part in enumerate(parts):
        size = os.fstat(part.descriptor).st_size
        if part.packed:
            size *= _UNPACKED_FACTOR
        if wanted < size:
            return number, 0 if part.packed else _record_at(part.descriptor, size - wanted, lines=lines)
        wanted -= size
    return len(parts) - 1, 0


def _record_at(descriptor: int, offset: int, *, lines: bool) -> int:
    """Where near `offset`, which lies more than a window before the end, a record begins; 0 if none can be found."""
    if lines:
        end = os.pread(descriptor, WINDOW_BYTES, offset).find(b"\n")
        return offset + end + 1 if end >= 0 else 0
    offset -= offset % WINDOW_BYTES
    return offset if begins_record(os.pread(descriptor, WINDOW_BYTES, offset)) else 0


class Tail:
    """The last `wanted` of the lines that are added; `whole`: they are all the lines there are."""

    def __init__(self, wanted: int, *, whole: bool) -> None:
        self._wanted = wanted
        self._whole = whole
        self._bytes = 0
        self.lines: deque[Line] = deque(maxlen=wanted)

    def add(self, line: Line) -> None:
        if not self._whole and self._bytes <= _RUN_UP_BYTES:
            self._bytes += len(line.text) + _RECORD_BYTES
        else:
            self.lines.append(line)

    @property
    def complete(self) -> bool:
        return self._whole or len(self.lines) == self._wanted

    def wider(self, window: int) -> int:
        """How far back to begin instead: as many times more as lines are missing, and a little more."""
        return window * min(64, max(4, 5 * self._wanted // (4 * max(1, len(self.lines)))))
