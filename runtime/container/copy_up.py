"""Copies a directory's content into a file system just mounted over it (the mount option tmpcopyup)."""

from __future__ import annotations

import os
import stat

from runtime.linux.paths import O_PATH, mount_path

_CHUNK_BYTES = 1 << 20


def copy_tree(source: int, target: int) -> None:
    """Everything below the opened directory `source` into the opened directory `target`: links, owners, modes,
    times and extended attributes too; special files are left out. Nothing is followed. Raises OSError.
    """
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            into = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
            try:
                copy_tree(below, into)
            finally:
                os.close(below)
                os.close(into)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(source, target, name)
        else:
            continue
        _copy_attributes(source, target, name, found)


def _copy_file(source: int, target: int, name: str) -> None:
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _CHUNK_BYTES):
                pass
        finally:
            os.close(write)
    finally:
        os.close(read)


def _copy_attributes(source: int, target: int, name: str, found: os.stat_result) -> None:
    os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return
    opened, made = (
        os.open(name, O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd) for fd in (source, target)
    )
    try:
        here, there = mount_path(opened), mount_path(made)
        try:
            for attribute in os.listxattr(here):
                os.setxattr(there, attribute, os.getxattr(here, attribute))
        except OSError:
            pass  # a tmpfs does not take every kind
        os.chmod(there, stat.S_IMODE(found.st_mode))
        os.utime(there, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(opened)
        os.close(made)
