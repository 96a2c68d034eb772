"""The log of a container on disk: chunks as they were read, each behind a 16-byte header. Pure.

    offset 0  u64  time of reading, nanoseconds since the epoch
           8  u32  length of the data that follows, bytes
          12  u8   stream: 1 = stdout (and a terminal), 2 = stderr
          13  u8   length of the padding after the data
          14  u8×2 zero

A chunk is what one read(2) gave, so it may hold many lines or a part of one; lines are the reader's business. One
begins at each multiple of WINDOW_BYTES (what would cross it is divided, or padded), so that a reader can begin there.
A torn last chunk (a full disk, a power cut) is recognised by its length and ignored.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("<QIBBH")
WINDOW_BYTES = 1 << 18
STDOUT = 1
STDERR = 2


class Chunk(NamedTuple):
    """One chunk: when it was read (ns since the epoch), from which stream, and its bytes."""

    time_ns: int
    stream: int
    data: bytes


class Line(NamedTuple):
    """One line of output without its line feed; `partial` where the stream ended without one."""

    time_ns: int
    stream: int
    text: bytes
    partial: bool = False


def pack_header(time_ns: int, stream: int, length: int, padding: int = 0) -> bytes:
    """The header that goes before `length` bytes of data and `padding` bytes that mean nothing."""
    return HEADER.pack(time_ns, length, stream, padding, 0)


def plan_record(position: int, length: int) -> tuple[int, int]:
    """How many of `length` bytes the record at `position` of a file takes, and how many bytes of padding."""
    left = WINDOW_BYTES - position % WINDOW_BYTES
    if left <= HEADER.size:
        # A file that was begun by a release that knew no windows.
        left += WINDOW_BYTES
    taken = min(length, left - HEADER.size)
    padding = left - HEADER.size - taken
    # There must be room for one more header and a byte of data.
    return taken, padding if padding <= HEADER.size else 0


def begins_record(window: bytes) -> bool:
    """Whether a whole `window` of a file begins with a record: then each one leads to the next, up to its end."""
    offset = 0
    while offset + HEADER.size <= len(window):
        _, length, stream, padding, zero = HEADER.unpack_from(window, offset)
        if stream not in (STDOUT, STDERR) or zero:
            return False
        offset += HEADER.size + length + padding
    return offset == len(window)


def parse_chunks(buffer: bytes) -> tuple[list[Chunk], int]:
    """All complete chunks at the start of `buffer`, and how many bytes they take."""
    chunks = []
    offset = 0
    while offset + HEADER.size <= len(buffer):
        time_ns, length, stream, padding, _ = HEADER.unpack_from(buffer, offset)
        end = offset + HEADER.size + length
        if end + padding > len(buffer):
            break
        chunks.append(Chunk(time_ns, stream, buffer[offset + HEADER.size : end]))
        offset = end + padding
    return chunks, offset


class LineSplitter:
    """Turns chunks into lines; the two streams are kept apart until each has a whole line."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[int, tuple[int, bytes]] = {}

    def feed(self, chunk: Chunk) -> Iterator[Line]:
        """The lines that `chunk` completes, each with the time its first byte was read."""
        started_ns, rest = self._pending.pop(chunk.stream, (chunk.time_ns, b""))
        lines = (rest + chunk.data).split(b"\n")
        for text in lines[:-1]:
            yield Line(started_ns, chunk.stream, text)
            started_ns = chunk.time_ns
        if lines[-1]:
            self._pending[chunk.stream] = (started_ns, lines[-1])

    def flush(self) -> Iterator[Line]:
        """What is left of lines that were never ended."""
        for stream, (time_ns, text) in sorted(self._pending.items(), key=lambda item: item[1][0]):
            yield Line(time_ns, stream, text, partial=True)
        self._pending.clear()
