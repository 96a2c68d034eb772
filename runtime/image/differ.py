"""The upper directory of an overlay as a layer: a tar archive with whiteouts, compressed, and its digests.

overlayfs marks what is gone with a character device 0:0 and a directory that hides the one below with
trusted.overlay.opaque; a layer says `.wh.NAME` and `.wh..wh..opq` (OCI image-spec layer.md). Nothing is copied: the
directory itself becomes the unpacked layer, this only reads it.
"""

import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import IO, Any

from runtime.image.intake import NewLayer
from runtime.image.manifest import OCI_LAYER

_OPAQUE_XATTR = "trusted.overlay.opaque"
_PREFIX = "SCHILY.xattr."
_CHUNK = 1 << 20
_LEVEL = 1  # isal's; about as small as zlib's 4, ten times as fast


class _Writer:
    """Where the archive goes: hashed plain, compressed, hashed again, written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = _new_compressor()
        self.plain, self.packed, self.size = sha256(), sha256(), 0

    def write(self, data: bytes) -> int:
        self.plain.update(data)
        self._put(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        self._put(self._compressor.flush())

    def _put(self, data: bytes) -> None:
        if data:
            self.packed.update(data)
            self.size += len(data)
            self._file.write(data)


def _new_compressor() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:  # a machine that it is not built for
        return zlib.compressobj(_LEVEL, wbits=31)
    return isal_zlib.compressobj(_LEVEL, wbits=31)


def make_layer(directory: str, blob: str, *, latest: int | None = None) -> NewLayer:
    """Write the layer of an upper directory to `blob`. `latest`: no file is younger (seconds). Raises OSError."""
    with open(blob, "wb") as file:
        writer = _Writer(file)
        with tarfile.open(
            fileobj=writer,  # type: ignore[call-overload]
            mode="w|",
            bufsize=_CHUNK,
            format=tarfile.PAX_FORMAT,
            errors="surrogateescape",
        ) as archive:
            write_tree(archive, directory, latest=latest)
        writer.finish()
    return NewLayer(
        f"sha256:{writer.packed.hexdigest()}",
        writer.size,
        f"sha256:{writer.plain.hexdigest()}",
        OCI_LAYER + "+gzip",
        directory,
        blob,
    )


def write_tree(
    archive: tarfile.TarFile, directory: str, *, latest: int | None = None, whiteouts: bool = True
) -> None:
    """Everything below a directory, in the order of names; hard links as such, sockets left out."""
    seen: dict[tuple[int, int], str] = {}
    for path, name, status in _walk(directory, ""):
        if whiteouts and stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            parent, _, last = name.rpartition("/")
            archive.addfile(_empty(f"{parent}/.wh.{last}".lstrip("/"), status, latest))
            continue
        if stat.S_ISSOCK(status.st_mode):
            continue
        info = _describe(path, name, status, latest)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            first = seen.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
                info.pax_headers = {}
        if info.isreg():
            with open(path, "rb") as file:
                archive.addfile(info, file)
        else:
            archive.addfile(info)
        if whiteouts and stat.S_ISDIR(status.st_mode) and _is_opaque(path):
            archive.addfile(_empty(f"{name}/.wh..wh..opq", status, latest))


def _walk(directory: str, prefix: str) -> Iterator[tuple[str, str, os.stat_result]]:
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        status = entry.stat(follow_symlinks=False)
        name = f"{prefix}{entry.name}"
        yield entry.path, name, status
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{name}/")


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, _OPAQUE_XATTR, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _empty(name: str, status: os.stat_result, latest: int | None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o600, _time(status, latest)
    return info


def _time(status: os.stat_result, latest: int | None) -> int:
    seconds = int(status.st_mtime)
    return seconds if latest is None else min(seconds, latest)


def _describe(path: str, name: str, status: os.stat_result, latest: int | None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    mode = status.st_mode
    info.mode, info.uid, info.gid = stat.S_IMODE(mode), status.st_uid, status.st_gid
    info.mtime = _time(status, latest)
    if stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISREG(mode):
        info.size = status.st_size
    elif stat.S_ISFIFO(mode):
        info.type = tarfile.FIFOTYPE
    else:
        info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    headers = {}
    for key in os.listxattr(path, follow_symlinks=False):
        if not key.startswith("trusted.") and key != "security.selinux":
            value = os.getxattr(path, key, follow_symlinks=False)
            headers[_PREFIX + key] = value.decode("utf-8", "surrogateescape")
    info.pax_headers = headers
    return info
