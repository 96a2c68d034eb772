"""A layer's bytes on their way: hashed as they come, kept, decompressed, hashed again, read by the unpacker.

    source ──► blob hash, blob file ──► gunzip, unzstd, … ──► diff hash ──► tarfile

One pass does all, so that a layer is unpacked while it is still being downloaded.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Protocol

from runtime.errors import ImageError

GZIP, BZIP2, XZ, ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_MAGICS = (GZIP, BZIP2, XZ, ZSTD)
_LONGEST_MAGIC = 6
_CHUNK = 1 << 18
# What goes into a decompressor at once: what comes out may be a thousand times as much.
_PIECES = {GZIP: 1 << 16, BZIP2: 1 << 12, XZ: 1 << 12, ZSTD: 1 << 14}
# No real file system shrinks to less than this; disk images full of holes are within the allowance.
_MOST_RATIO, _ALLOWANCE_BYTES = 300, 4 << 30


def chunks(source: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces."""
    while chunk := source.read(_CHUNK):
        yield chunk


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class LayerStream:
    """A layer as a file to read. `keep` gets every byte of the source, `keep_plain` every byte that is read."""

    def __init__(
        self,
        source: Iterable[bytes],
        *,
        keep: Callable[[bytes], object] | None = None,
        keep_plain: Callable[[bytes], object] | None = None,
    ) -> None:
        self._source = iter(source)
        self.keep = keep
        self.keep_plain = keep_plain
        self.blob_hash, self.diff_hash = hashlib.sha256(), hashlib.sha256()
        self.blob_bytes = self.diff_bytes = 0
        self._head = b""
        while len(self._head) < _LONGEST_MAGIC and (chunk := next(self._source, b"")):
            self._head += chunk
        self.compression = next((magic for magic in _MAGICS if self._head.startswith(magic)), b"")
        self._plain = self._decompress()
        self._ready = b""
        self._offset = 0
        self._position = 0

    def tell(self) -> int:
        """How many bytes of the plain archive have been read."""
        return self._position

    def seek(self, position: int) -> None:
        """Passes over what comes before `position`. Only forward; no further than the archive's end."""
        while (missing := position - self._position) > 0 and self.read(min(missing, _CHUNK)):
            pass

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the plain archive, b"" at its end. Raises ImageError for damaged data."""
        parts, wanted = [], size
        while wanted:
            if self._offset == len(self._ready):
                self._ready, self._offset = next(self._plain, b""), 0
                if not self._ready:
                    break
            part = self._ready[self._offset : self._offset + wanted]
            self._offset += len(part)
            wanted -= len(part)
            parts.append(part)
        self._position += size - wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drain(self) -> None:
        """Reads what is behind the archive's end: it is part of the digests."""
        self._offset = len(self._ready)
        for _ in self._plain:
            pass

    def _incoming(self) -> Iterator[bytes]:
        """The source from its beginning, noted and kept."""
        head, self._head = self._head, b""
        if head:
            yield self._note(head)
        for chunk in self._source:
            yield self._note(chunk)

    def _note(self, chunk: bytes) -> bytes:
        self.blob_hash.update(chunk)
        self.blob_bytes += len(chunk)
        if self.keep is not None:
            self.keep(chunk)
        return chunk

    def _decompress(self) -> Iterator[bytes]:
        pieces = self._incoming() if not self.compression else self._decompressed()
        for plain in pieces:
            if not plain:
                continue
            self.diff_hash.update(plain)
            self.diff_bytes += len(plain)
            if self.diff_bytes > _ALLOWANCE_BYTES + self.blob_bytes * _MOST_RATIO:
                raise ImageError(
                    f"the archive grows to more than {_MOST_RATIO} times its size: it is a decompression bomb"
                )
            if self.keep_plain is not None:
                self.keep_plain(plain)
            yield plain

    def _decompressed(self) -> Iterator[bytes]:
        new = _decompressor_of(self.compression)
        decompressor: _Decompressor = new()
        step = _PIECES[self.compression]
        for chunk in self._incoming():
            for start in range(0, len(chunk), step):
                data = chunk[start : start + step]
                while data:
                    if decompressor.eof:  # several compressed streams one after the other are one
                        if not data.strip(b"\0"):
                            break
                        decompressor = new()
                    yield _step(decompressor, data)
                    data = decompressor.unused_data if decompressor.eof else b""
        if not decompressor.eof:
            raise ImageError("the archive ends in the middle of its compressed data")


def _step(decompressor: _Decompressor, data: bytes) -> bytes:
    try:
        return decompressor.decompress(data)
    except Exception as error:  # each library has its own
        raise ImageError(f"the archive's compressed data is damaged: {error}") from error


def _decompressor_of(magic: bytes) -> "Callable[[], Any]":
    if magic == GZIP:
        try:
            from isal import isal_zlib
        except ImportError:  # a machine that it is not built for
            return lambda: zlib.decompressobj(wbits=31)
        return lambda: isal_zlib.decompressobj(wbits=31)
    if magic == BZIP2:
        import bz2

        return bz2.BZ2Decompressor
    if magic == XZ:
        import lzma

        return lzma.LZMADecompressor
    import zstandard

    return lambda: zstandard.ZstdDecompressor().decompressobj()
