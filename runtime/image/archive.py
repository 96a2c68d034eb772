"""Bringing the root file system of a tar archive into the store (`image import`).

The archive is read once: its bytes go into a blob, and what they unpack to goes into a layer, both under
temporary names; only when all is on disk do they get their places and the image its name.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, Protocol

from runtime.errors import ImageError, InvalidError, NotFoundError, UnsupportedError
from runtime.image.changes import parse_changes
from runtime.image.store import MANIFEST, ImageStore, encode_json, sync_directory
from runtime.image.unpack import unpack_layer
from runtime.oci.reference import Reference, parse_reference

_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_CHUNK = 1 << 18
# GOARCH names, as OCI wants them (image-spec config.md: architecture)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "riscv64": "riscv64"}


class _Decompressor(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class _Stored(NamedTuple):
    """What one pass over an archive gave."""

    digest: str  # of the blob
    size_bytes: int
    diff_id: str
    media_type: str


def import_tar(store: ImageStore, tar: str, reference: str, changes: Sequence[str] = ()) -> str:
    """Imports an archive ("-" = standard input), plain or compressed; returns the image's id.

    Raises InvalidError, NotFoundError, ImageError, UnsupportedError, OSError. Nothing is left if it fails.
    """
    name = parse_reference(reference)
    if name.digest:
        raise InvalidError(f"{reference!r} has a digest; an import is given a tag")
    config = parse_changes(changes)
    with _opened(tar) as source, _workspace(store) as workspace:
        layer = f"{workspace}/layer"
        os.mkdir(layer, 0o755)
        stored = _read(source, f"{workspace}/blob", layer)
        _refuse_saved_image(layer)
        document = _document(config, stored.diff_id, tar)
        os.sync()  # thousands of files: one call for all
        with store.locked():
            return _commit(store, name, workspace, stored, document)


def _commit(
    store: ImageStore, name: Reference, workspace: str, stored: _Stored, document: dict[str, Any]
) -> str:
    config = encode_json(document)
    config_digest = store.write_blob(config)
    _move(f"{workspace}/blob", store.blob(stored.digest))
    _move(f"{workspace}/layer", f"{store.paths.layers}/{stored.diff_id.removeprefix('sha256:')}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": config_digest, "size": len(config)},
        "layers": [{"mediaType": stored.media_type, "digest": stored.digest, "size": stored.size_bytes}],
    }
    store.add(name, manifest)
    return config_digest


def _move(source: str, target: str) -> None:
    """Into its place; the same thing may be there already."""
    if not os.path.exists(target):
        os.rename(source, target)
        sync_directory(os.path.dirname(target))


@contextmanager
def _opened(tar: str) -> Iterator[IO[bytes]]:
    if tar == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(tar, "rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"archive {tar} is not there") from error
    except OSError as error:
        raise ImageError(f"archive {tar} can't be read: {error.strerror}") from error
    with file:
        if os.path.isdir(tar):
            raise InvalidError(f"{tar} is a directory", hint=f"use it as it is: image: rootfs:{tar}")
        yield file


@contextmanager
def _workspace(store: ImageStore) -> Iterator[str]:
    """A directory of our own that goes away in any case; those of importers that died are removed too."""
    os.makedirs(store.paths.layers, mode=0o700, exist_ok=True)
    path = f"{store.paths.layers}/.new-{os.urandom(8).hex()}"
    os.mkdir(path, 0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        _remove_abandoned(store.paths.layers)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(fd)


def _remove_abandoned(layers: str) -> None:
    for name in os.listdir(layers):
        if not name.startswith(".new-"):
            continue
        path = f"{layers}/{name}"
        try:
            # A moment passes between an importer's mkdir and its lock.
            if time.time() - os.stat(path).st_mtime < 60:
                continue
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)


class _Reader:
    """Decompresses while reading; what passes is hashed and, compressed or not, written to the blob."""

    def __init__(self, source: IO[bytes], blob: IO[bytes]) -> None:
        self._source = source
        self._blob = blob
        head = source.read(_CHUNK)
        self._pending = head
        self.gzip = head.startswith(_GZIP)
        self._new = _decompressor_of(head)
        self._decompressor = self._new() if self._new else None
        # Only gzip and none are known to every engine as compressions of layers.
        self._keeps = self.gzip or self._new is None
        self._ready = b""
        self.blob_hash, self.diff_hash, self.size = hashlib.sha256(), hashlib.sha256(), 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of the plain archive, b"" at its end (tarfile's stream protocol)."""
        while len(self._ready) < size:
            data = self._pending or self._source.read(_CHUNK)
            self._pending = b""
            if not data:
                if self._decompressor is not None and not self._decompressor.eof:
                    raise ImageError("the archive ends in the middle of its compressed data")
                break
            if self._keeps:
                self._keep(data)
            self._ready += self._decompress(data)
        out, self._ready = self._ready[:size], self._ready[size:]
        self.diff_hash.update(out)
        if not self._keeps:
            self._keep(out)
        return out

    def drain(self) -> None:
        """Reads what is behind the archive's end: it is part of the digests."""
        while self.read(_CHUNK):
            pass

    def _keep(self, data: bytes) -> None:
        self._blob.write(data)
        self.blob_hash.update(data)
        self.size += len(data)

    def _decompress(self, data: bytes) -> bytes:
        if self._decompressor is None or self._new is None:
            return data
        out = b""
        try:
            while data:
                if self._decompressor.eof:  # several compressed streams one after the other are one
                    self._decompressor = self._new()
                out += self._decompressor.decompress(data)
                data = self._decompressor.unused_data if self._decompressor.eof else b""
                if not data.strip(b"\0"):
                    break
        except Exception as error:  # each library has its own
            raise ImageError(f"the archive's compressed data is damaged: {error}") from error
        return out


def _decompressor_of(head: bytes) -> "Any":
    if head.startswith(_GZIP):
        return lambda: zlib.decompressobj(wbits=31)
    if head.startswith(_BZIP2):
        import bz2

        return bz2.BZ2Decompressor
    if head.startswith(_XZ):
        import lzma

        return lzma.LZMADecompressor
    if head.startswith(_ZSTD):
        try:
            import zstandard  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise UnsupportedError(
                "the archive is compressed with zstd",
                hint="pip install zstandard, or unpack it with `zstd -d`",
            ) from error
        return lambda: zstandard.ZstdDecompressor().decompressobj()
    return None


def _read(source: IO[bytes], blob: str, layer: str) -> _Stored:
    with open(blob, "wb") as file:
        reader = _Reader(source, file)
        try:
            with tarfile.open(fileobj=reader, mode="r|", errors="surrogateescape") as archive:  # type: ignore[call-overload]
                unpack_layer(archive, layer)
        except tarfile.TarError as error:
            raise ImageError(f"this is not a tar archive: {error}") from error
        reader.drain()
        file.flush()
        os.fsync(file.fileno())
    return _Stored(
        "sha256:" + reader.blob_hash.hexdigest(),
        reader.size,
        "sha256:" + reader.diff_hash.hexdigest(),
        _LAYER + ("+gzip" if reader.gzip else ""),
    )


def _refuse_saved_image(layer: str) -> None:
    names = set(os.listdir(layer))
    if not names:
        raise ImageError("the archive is empty")
    if names & {"oci-layout", "manifest.json"} and not names & {"bin", "usr", "etc", "sbin"}:
        raise ImageError(
            "the archive holds a saved image, not a root file system",
            hint="export a container's file system instead (`docker export`)",
        )


def _document(config: dict[str, Any], diff_id: str, tar: str) -> dict[str, Any]:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    machine = os.uname().machine
    return {
        "created": created,
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": f"imported from {os.path.basename(tar)}"}],
    }
