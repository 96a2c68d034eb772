"""Copying a directory out of a container's root file system, with all that belongs to its files.

The source is not trusted: it is opened inside its root (openat2) and walked by descriptors, never by paths.
"""

import errno
import os
import shutil
import stat

from runtime.linux.paths import open_in_root, open_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 24


def copy_from_root(rootfs: str, path: str, target: str) -> bool:
    """Copies the directory `path` of a root file system to `target`, which is made anew.

    False if there is no such directory, or an image has nothing to say about it. Raises OSError; a
    target that was left by an interrupted copy is replaced.
    """
    source = _open_source(rootfs, path)
    if source < 0:
        return False
    try:
        if os.path.lexists(target):
            shutil.rmtree(target)
        os.mkdir(target, 0o700)
        _copy(source, target, _Copier())
    finally:
        os.close(source)
    return True


def merge_from_root(rootfs: str, path: str, target: str) -> bool:
    """Copies into a directory that is there, and that others may change meanwhile: what it has already stays.

    A file appears in one step, so that a copy that was cut off goes on where it was. Otherwise as `copy_from_root`.
    """
    source = _open_source(rootfs, path)
    if source < 0:
        return False
    try:
        _copy(source, target, _Copier(merge=True))
    finally:
        os.close(source)
    return True


def _open_source(rootfs: str, path: str) -> int:
    root = open_root(rootfs)
    try:
        return open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return -1
        raise
    finally:
        os.close(root)


def _copy(source: int, target: str, copier: "_Copier") -> None:
    copy = os.open(target, _DIRECTORY)
    try:
        copier.copy_directory(source, copy)
    finally:
        os.close(copy)


class _Copier:
    """One copy; remembers files with several names, which get several names again."""

    def __init__(self, *, merge: bool = False) -> None:
        self._merge = merge
        self._linked: dict[tuple[int, int], tuple[int, str]] = {}

    def copy_directory(self, source: int, target: int) -> None:
        try:
            self._copy_entries(source, target)
        finally:
            for fd, _ in self._linked.values():
                os.close(fd)

    def _copy_entries(self, source: int, target: int) -> None:
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if self._merge and not stat.S_ISDIR(status.st_mode) and _is_there(target, name):
                continue
            if stat.S_ISDIR(status.st_mode):
                self._make_directory(target, name)
                below, copy = (
                    os.open(name, _DIRECTORY, dir_fd=source),
                    os.open(name, _DIRECTORY, dir_fd=target),
                )
                try:
                    self._copy_entries(below, copy)
                finally:
                    os.close(below)
                    os.close(copy)
            elif not self._copy_link(name, status, target):
                self._copy_file(source, target, name, status)
        _dress(source, target)

    def _make_directory(self, target: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=target)
        except FileExistsError:
            if not self._merge:
                raise

    def _copy_file(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        if not self._merge:
            _copy_file(source, target, name, name, status)
            return
        passing = f".{name[:200]}.{os.urandom(4).hex()}"
        try:
            _copy_file(source, target, name, passing, status)
            os.rename(passing, name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            if _is_there(target, passing):
                os.unlink(passing, dir_fd=target)
            raise

    def _copy_link(self, name: str, status: os.stat_result, target: int) -> bool:
        """A further name of a file copied before; the first name of one is remembered."""
        if status.st_nlink < 2:
            return False
        key = (status.st_dev, status.st_ino)
        if key in self._linked:
            directory, first = self._linked[key]
            os.link(first, name, src_dir_fd=directory, dst_dir_fd=target, follow_symlinks=False)
            return True
        self._linked[key] = (os.dup(target), name)
        return False


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _copy_file(source: int, target: int, name: str, new_name: str, status: os.stat_result) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        old = os.open(name, os.O_RDONLY | flags, dir_fd=source)
        try:
            new = os.open(new_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
            try:
                _copy_content(old, new)
                _dress(old, new)
            finally:
                os.close(new)
        finally:
            os.close(old)
        return
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(name, dir_fd=source), new_name, dir_fd=target)
    elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        os.mknod(new_name, mode, status.st_rdev, dir_fd=target)
    else:  # a socket file means nothing without its listener
        return
    os.chown(new_name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        os.chmod(new_name, stat.S_IMODE(mode), dir_fd=target)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(new_name, ns=times, dir_fd=target, follow_symlinks=False)


def _copy_content(source: int, target: int) -> None:
    """In the kernel: copy_file_range(2) may share blocks; sendfile(2) works between all file systems."""
    try:
        while os.copy_file_range(source, target, _CHUNK):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        while os.sendfile(target, source, None, _CHUNK):
            pass


def dress(source: str, target: str) -> None:
    """Give one directory owner, mode, attributes and times of another. Raises OSError."""
    like, changed = os.open(source, _DIRECTORY), os.open(target, _DIRECTORY)
    try:
        _dress(like, changed)
    finally:
        os.close(like)
        os.close(changed)


def _dress(source: int, target: int) -> None:
    """Owner, mode, attributes, times of one open file onto another."""
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if name.startswith("trusted.overlay."):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM):
                raise
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
