"""Reads container logs: whole, the last lines, from a time on; a reader keeps its place and can go on later.

A log is one file and those rotated out of it (files.py). They are opened the newest first: a rotation meanwhile can
then show a file twice, which its inode tells, but never hide one.
"""

import os
from collections.abc import Iterator

from runtime.shim.logs.record import HEADER, WINDOW_BYTES, Chunk, Line, LineSplitter, parse_chunks
from runtime.shim.logs.tail import LogPart, Tail, find_beginning

_BLOCK_BYTES = 1 << 20
JSON_SUFFIX = "-json.log"


class LogReader:
    """One pass over one log. `read` may be called again whenever it has grown."""

    __slots__ = ("_descriptor", "_offset", "_parse", "_splitter", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1
        self._offset = 0
        self._splitter = LineSplitter()
        self._parse = parse_chunks
        if path.endswith(JSON_SUFFIX):
            from runtime.shim.logs.json_lines import parse_json_chunks

            self._parse = parse_json_chunks

    def read(self) -> Iterator[Line]:
        """The complete lines that have come since the last call."""
        if self._descriptor < 0:
            yield from self._read_all(-1)
            return
        yield from self._read_on()
        if self._is_rotated():
            # Between the two looks it may have got its last lines.
            yield from self._read_on()
            ended = os.fstat(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            yield from self._read_all(ended.st_mtime_ns, ended.st_ino)

    def _is_rotated(self) -> bool:
        try:
            return os.stat(self.path).st_ino != os.fstat(self._descriptor).st_ino
        except FileNotFoundError:
            return False

    def _read_all(self, since_ns: int, known: int = -1) -> Iterator[Line]:
        """What was rotated after `since_ns`, the oldest first, then the present file, which stays open."""
        for part in reversed(parts := self._open_all(since_ns, known)):
            yield from self._read_part(part)
            if part is not parts[0]:
                os.close(part.descriptor)

    def _open_all(self, since_ns: int = -1, known: int = -1) -> list[LogPart]:
        """The present file and what was rotated after `since_ns`, the newest first; [] while there is no log."""
        try:
            present = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        return [LogPart(present, False), *self._rotated(present, since_ns, known)]

    def _read_part(self, part: LogPart, offset: int = 0) -> Iterator[Line]:
        if part.packed:
            return self._read_packed(part.descriptor)
        self._descriptor, self._offset = part.descriptor, offset
        return self._read_on()

    def _rotated(self, present: int, since_ns: int, known: int) -> list[LogPart]:
        """The rotated files, the newest first."""
        found: list[LogPart] = []
        seen_inodes, seen_times = {os.fstat(present).st_ino, known}, set[int]()
        number, missing = 1, False
        while not missing:
            missing = True
            for suffix in ("", ".gz"):
                try:
                    descriptor = os.open(f"{self.path}.{number}{suffix}", os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    continue
                missing = False
                status = os.fstat(descriptor)
                new = status.st_ino not in seen_inodes and status.st_mtime_ns not in seen_times
                if new and status.st_mtime_ns > since_ns:
                    found.append(LogPart(descriptor, bool(suffix)))
                    seen_inodes.add(status.st_ino)
                    seen_times.add(status.st_mtime_ns)
                else:
                    os.close(descriptor)
            number += 1
        return found

    def _read_on(self) -> Iterator[Line]:
        want = _BLOCK_BYTES
        while True:
            block = os.pread(self._descriptor, want, self._offset)
            chunks, used = self._parse(block)
            if used == 0:
                if len(block) < want:
                    return
                # One chunk larger than a block: ask for more.
                want = max(want * 2, self._needed(block))
                continue
            want = _BLOCK_BYTES
            self._offset += used
            yield from self._lines(chunks)

    def _needed(self, block: bytes) -> int:
        return int(HEADER.unpack_from(block)[1]) + HEADER.size if self._parse is parse_chunks else 0

    def _lines(self, chunks: list[Chunk]) -> Iterator[Line]:
        for chunk in chunks:
            yield from self._splitter.feed(chunk)

    def _read_packed(self, descriptor: int) -> Iterator[Line]:
        import zlib

        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        pending, offset = b"", 0
        while block := os.pread(descriptor, _BLOCK_BYTES, offset):
            offset += len(block)
            pending += unpacker.decompress(block)
            chunks, used = self._parse(pending)
            pending = pending[used:]
            yield from self._lines(chunks)

    def rest(self) -> Iterator[Line]:
        """The unfinished lines at the end; call it when no more will come."""
        yield from self._splitter.flush()

    def skip_to_tail(self, lines: int) -> list[Line]:
        """The last `lines` of all that are complete, found from the end backwards; `read` goes on after them."""
        parts = self._open_all()
        if not parts:
            return []
        window = WINDOW_BYTES
        while True:
            first, offset = find_beginning(parts, window, lines=self._parse is not parse_chunks)
            tail = Tail(lines, whole=first == len(parts) - 1 and offset == 0)
            self._splitter = LineSplitter()
            for part in parts[first::-1]:
                for line in self._read_part(part, offset):
                    tail.add(line)
                offset = 0
            if tail.complete:
                break
            window = tail.wider(window)
        for part in parts[1:]:
            os.close(part.descriptor)
        return list(tail.lines)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
