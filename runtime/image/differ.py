"""The upper directory of an overlay as a layer: a tar archive with whiteouts, compressed, and its digests.

overlayfs marks what is gone with a character device 0:0 and a directory that hides the one below with
trusted.overlay.opaque; a layer says `.wh.NAME` and `.wh..wh..opq` (OCI image-spec layer.md). Nothing is copied: the
directory itself becomes the unpacked layer, this only reads it.
"""

import os
import stat
import tarfile
import zlib
from hashlib import sha256
from typing import IO, Any, cast

from runtime.image.intake import NewLayer
from runtime.image.manifest import OCI_LAYER

_OPAQUE_XATTR = "trusted.overlay.opaque"
_PREFIX = "SCHILY.xattr."
_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
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
    """Everything below a directory, in the order of names; hard links as such, sockets left out. Raises OSError.

    With `whiteouts` what overlayfs has marked as gone becomes a layer's sign for it.
    """
    fd = os.open(directory, _DIRECTORY)
    try:
        _TreeWriter(archive, latest, whiteouts).add_entries(fd, "")
    finally:
        os.close(fd)


def write_entry(archive: tarfile.TarFile, parent: int, name: str, member: str) -> None:
    """One entry of an open directory, with all below it, as `member`. Raises OSError.

    A `member` of "." is the directory itself (`name` is "." then). Nobody who changes the directory meanwhile can
    lead the walk out of it.
    """
    _TreeWriter(archive, None, False).add(parent, name, member)


class _TreeWriter:
    """One walk, by descriptors: a path could mean another file by the time it is opened."""

    def __init__(self, archive: tarfile.TarFile, latest: int | None, whiteouts: bool) -> None:
        self._archive = archive
        self._latest = latest
        self._whiteouts = whiteouts
        self._seen: dict[tuple[int, int], str] = {}

    def add_entries(self, directory: int, prefix: str) -> None:
        for name in sorted(os.listdir(directory)):
            try:
                self.add(directory, name, f"{prefix}{name}")
            except FileNotFoundError:  # gone since the listing
                continue

    def add(self, parent: int, name: str, member: str) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        mode = status.st_mode
        if stat.S_ISSOCK(mode):
            return
        if self._whiteouts and stat.S_ISCHR(mode) and status.st_rdev == 0:
            above, _, last = member.rpartition("/")
            self._archive.addfile(_empty(f"{above}/.wh.{last}".lstrip("/"), status, self._latest))
        elif stat.S_ISDIR(mode):
            self._add_directory(parent, name, member)
        elif stat.S_ISREG(mode):
            self._add_file(parent, name, member)
        else:
            info = _describe(f"/proc/self/fd/{parent}/{name}", member, status, self._latest)
            self._link_to_first(info, status)
            self._archive.addfile(info)

    def _add_directory(self, parent: int, name: str, member: str) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            path = f"/proc/self/fd/{fd}/"
            status = os.fstat(fd)
            self._archive.addfile(_describe(path, member, status, self._latest))
            if self._whiteouts and _is_opaque(path):
                self._archive.addfile(_empty(f"{member}/.wh..wh..opq", status, self._latest))
            self.add_entries(fd, "" if member == "." else f"{member}/")
        finally:
            os.close(fd)

    def _add_file(self, parent: int, name: str, member: str) -> None:
        # O_NONBLOCK: a FIFO that has taken the file's place must not make us wait.
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return
            info = _describe(f"/proc/self/fd/{fd}", member, status, self._latest, follow=True)
            self._link_to_first(info, status)
            self._archive.addfile(info, cast(IO[bytes], _Exact(file)) if info.isreg() else None)

    def _link_to_first(self, info: tarfile.TarInfo, status: os.stat_result) -> None:
        """A further name of a file becomes a hard link to the first."""
        if status.st_nlink < 2:
            return
        first = self._seen.setdefault((status.st_dev, status.st_ino), info.name)
        if first != info.name:
            info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
            info.pax_headers = {}


class _Exact:
    """A file that may shrink while it is read: what is missing are zeros, as tar(1) does."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        return self._file.read(size).ljust(size, b"\0")


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, _OPAQUE_XATTR) == b"y"
    except OSError:
        return False


def _empty(name: str, status: os.stat_result, latest: int | None) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = 0o600, _time(status, latest)
    return info


def _time(status: os.stat_result, latest: int | None) -> int:
    seconds = int(status.st_mtime)
    return seconds if latest is None else min(seconds, latest)


def _describe(
    path: str, name: str, status: os.stat_result, latest: int | None, *, follow: bool = False
) -> tarfile.TarInfo:
    """What the archive says of a file. `path` leads through a descriptor, to be followed if it is the file's own."""
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
    for key in os.listxattr(path, follow_symlinks=follow):
        if not key.startswith("trusted.") and key != "security.selinux":
            value = os.getxattr(path, key, follow_symlinks=follow)
            headers[_PREFIX + key] = value.decode("utf-8", "surrogateescape")
    info.pax_headers = headers
    return info
