"""Unpacking a layer's tar stream into a directory, trusting nothing in it (OCI image-spec layer.md).

Every path is resolved as if the directory were the root (openat2, RESOLVE_IN_ROOT), so that no "..",
symbolic or hard link leads out of it. Whiteouts become what overlayfs wants in a lower layer: a
character device 0:0 for `.wh.NAME`, the attribute trusted.overlay.opaque for `.wh..wh..opq` (kernel
Documentation/filesystems/overlayfs.rst).
"""

import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Iterable
from typing import IO

from runtime.errors import ImageError
from runtime.linux.paths import O_PATH, ensure_directory, open_in_root, open_root

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_OPAQUE_XATTR = "trusted.overlay.opaque"
_XATTR_PREFIX = "SCHILY.xattr."
_CHUNK, _HOLE_BYTES = 1 << 20, 1 << 12
_NOFOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC


def unpack_layer(
    archive: tarfile.TarFile,
    directory: str,
    *,
    whiteouts: bool = True,
    keep_kinds: bool = False,
    owner: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Unpacks all of a layer into an empty directory. Raises ImageError, OSError.

    Without `whiteouts` it is a plain archive, in which such names mean nothing, and the directory may have content.
    With `keep_kinds` no directory takes the place of something else, nor the other way round. All belongs to `owner`
    (uid, gid) without extended attributes, if it is given, instead of what the archive says.

    Returns the directories that it has files in but does not describe, which got root's and 0755.
    """
    root = open_root(directory)
    unpacker = _Unpacker(root, whiteouts, keep_kinds)
    try:
        for member in _members(archive):
            if owner is not None:
                (member.uid, member.gid), member.pax_headers = owner, {}
            try:
                unpacker.add(archive, member)
            except OSError as error:
                error.add_note(f"while unpacking {member.name!r}")
                raise
        unpacker.finish()
    finally:
        unpacker.close()
        os.close(root)
    return tuple(sorted(unpacker.implied))


def split_path(name: str) -> tuple[str, str]:
    """(parent, last part) of a member's name relative to the root; ("", "") is the root.

    Raises ImageError.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise ImageError(f"the archive has a path that leads out of it: {name!r}")
    return ("/".join(parts[:-1]), parts[-1]) if parts else ("", "")


def _members(archive: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    try:
        yield from archive
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(f"the archive is damaged: {error}") from error


class _Unpacker:
    """The state of one run: the parent directory last used, and what directories get at the end."""

    def __init__(self, root: int, whiteouts: bool, keep_kinds: bool) -> None:
        self._root = root
        self._whiteouts = whiteouts
        self._keep_kinds = keep_kinds
        self._parent_path: str | None = None
        self._parent = -1
        # A directory's times change with every file in it, so they are set last.
        self._directories: dict[str, int] = {}
        self.implied: set[str] = set()

    def close(self) -> None:
        if self._parent >= 0:
            os.close(self._parent)
            self._parent = -1

    def finish(self) -> None:
        for path, mtime_ns in self._directories.items():
            try:
                fd = open_in_root(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW)
            except OSError:  # replaced by something else later in the archive
                continue
            os.utime(fd, ns=(mtime_ns, mtime_ns))
            os.close(fd)

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parent_path, name = split_path(member.name)
        if not name:
            if member.isdir():
                self._dress_directory(self._root_fd(), member, "")
            return
        parent = self._open_parent(parent_path)
        if self._whiteouts and name.startswith(_WHITEOUT):
            self._add_whiteout(parent, name)
            return
        path = f"{parent_path}/{name}"
        if member.isdir():
            self._add_directory(parent, name, member, path)
            return
        self._clear(parent, name)
        if member.islnk():
            self._add_hard_link(parent, name, member)
        elif member.isfile():
            self._add_file(archive, parent, name, member)
        else:
            _add_special(parent, name, member)

    def _root_fd(self) -> int:
        return os.open(f"/proc/self/fd/{self._root}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _open_parent(self, path: str) -> int:
        if path != self._parent_path:
            self.close()
            self._parent_path = None
            try:
                self._parent = self._ensure_parent(path)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ENOENT, errno.ELOOP, errno.EEXIST):
                    raise
                raise ImageError(f"the archive has files below {path!r}, which is no directory") from error
            self._parent_path = path
        return self._parent

    def _ensure_parent(self, path: str) -> int:
        try:
            return open_in_root(self._root, path or "/", O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            above, _, name = path.rpartition("/")
        parent = self._ensure_parent(above)
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
            self.implied.add(path)
            return os.open(name, O_PATH | os.O_DIRECTORY | _NOFOLLOW, dir_fd=parent)
        except FileExistsError:  # a symbolic link that leads nowhere
            return ensure_directory(self._root, path)
        finally:
            os.close(parent)

    def _add_directory(self, parent: int, name: str, member: tarfile.TarInfo, path: str) -> None:
        found = _status(parent, name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            if found is not None and self._keep_kinds:
                raise ImageError(f"cannot overwrite non-directory {path.strip('/')!r} with directory")
            hidden = found is not None and _is_whiteout(found)
            self._clear(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
            if hidden:
                # A directory in place of one that this layer removed: what was in that one stays hidden.
                _set_opaque(parent, name)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW, dir_fd=parent)
        self._dress_directory(fd, member, path)

    def _dress_directory(self, fd: int, member: tarfile.TarInfo, path: str) -> None:
        try:
            _dress(fd, member)
        finally:
            os.close(fd)
        self._directories[path] = _mtime_ns(member)
        self.implied.discard(path.strip("/"))

    def _add_file(self, archive: tarfile.TarFile, parent: int, name: str, member: tarfile.TarInfo) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600, dir_fd=parent)
        with os.fdopen(fd, "wb") as file:
            source = archive.extractfile(member)
            if source is not None:
                try:
                    # Without its buffer, which would copy everything once more.
                    _copy(getattr(source, "raw", source), file, holes=member.issparse())
                except (tarfile.TarError, EOFError) as error:
                    raise ImageError(f"the archive ends within {member.name!r}") from error
            file.flush()
            if file.tell() != member.size:
                raise ImageError(f"the archive ends within {member.name!r}")
            if member.issparse():
                file.truncate(member.size)
            _dress(fd, member)
            os.utime(fd, ns=(_mtime_ns(member), _mtime_ns(member)))

    def _add_hard_link(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        target_path, target = split_path(member.linkname)
        try:
            source = open_in_root(self._root, target_path or "/", O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise _bad_link(member) from error
        try:
            found = _status(source, target) if target else None
            if found is None or stat.S_ISDIR(found.st_mode):
                raise _bad_link(member)
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _add_whiteout(self, parent: int, name: str) -> None:
        if name == _OPAQUE:
            _set_opaque(parent, ".")
            return
        if name.startswith(".wh..wh."):  # AUFS's own bookkeeping
            return
        hidden = name[len(_WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise ImageError(f"the archive has a bad whiteout: {name!r}")
        # Whiteouts are about lower layers; a file of this same layer stays.
        if _status(parent, hidden) is None:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)

    def _clear(self, parent: int, name: str) -> None:
        """Makes room: the later member of an archive wins."""
        found = _status(parent, name)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            if self._keep_kinds:
                raise ImageError(f"cannot overwrite directory {name!r} with non-directory")
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)


def _copy(source: IO[bytes], file: IO[bytes], *, holes: bool) -> None:
    """All of a member; with `holes`, what is zero is left out."""
    step = _HOLE_BYTES if holes else _CHUNK
    while data := source.read(step):
        if holes and not data.strip(b"\0"):
            file.seek(len(data), os.SEEK_CUR)
        else:
            file.write(data)


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _set_opaque(parent: int, name: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _NOFOLLOW, dir_fd=parent)
    try:
        os.setxattr(fd, _OPAQUE_XATTR, b"y")
    finally:
        os.close(fd)


def _bad_link(member: tarfile.TarInfo) -> ImageError:
    return ImageError(f"the archive links {member.name!r} to {member.linkname!r}, which is not in it")


def _add_special(parent: int, name: str, member: tarfile.TarInfo) -> None:
    """A symbolic link, a device or a FIFO. Raises ImageError for anything else."""
    mode = member.mode & 0o7777
    if member.issym():
        os.symlink(member.linkname, name, dir_fd=parent)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(name, kind | 0o600, os.makedev(member.devmajor, member.devminor), dir_fd=parent)
    elif member.isfifo():
        os.mkfifo(name, 0o600, dir_fd=parent)
    else:
        raise ImageError(f"the archive has {member.name!r} of an unknown kind {member.type!r}")
    os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
    if not member.issym():
        # Through a descriptor: where programs run meanwhile, the name may have become a link.
        fd = os.open(name, O_PATH | _NOFOLLOW, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", mode)
        finally:
            os.close(fd)
    os.utime(name, ns=(_mtime_ns(member), _mtime_ns(member)), dir_fd=parent, follow_symlinks=False)


def _dress(fd: int, member: tarfile.TarInfo) -> None:
    """Owner, then mode (chown takes set-user-id bits away), then attributes."""
    os.fchown(fd, member.uid, member.gid)
    os.fchmod(fd, member.mode & 0o7777)
    for key, value in member.pax_headers.items():
        name = key.removeprefix(_XATTR_PREFIX)
        # trusted.overlay.* would speak to overlayfs in the archive's name, and redirect it to other layers.
        if name == key or name.startswith("trusted."):
            continue
        try:
            os.setxattr(fd, name, value.encode("utf-8", "surrogateescape"))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise


def _mtime_ns(member: tarfile.TarInfo) -> int:
    return int(float(member.mtime) * 1_000_000_000)
