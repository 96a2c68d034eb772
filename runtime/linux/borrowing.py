"""Takes a mount out of another process's mount namespace (setns(2), open_tree(2))."""

import errno
import os

from runtime.linux import constants as k
from runtime.linux import syscalls


def borrow_tree(pid: int, path: str) -> int:
    """A detached copy, with all below, of what is mounted at `path` as the process sees it; its descriptor.

    The caller is single-threaded; it comes back to its own namespace, to the root of it. Raises OSError; EINVAL
    where no other file system is mounted at `path`.
    """
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(other, k.CLONE_NEWNS)
        finally:
            os.close(other)
        try:
            if os.stat(path).st_dev == os.stat(os.path.dirname(path)).st_dev:
                raise OSError(errno.EINVAL, "is no mount point", path)
            return syscalls.open_tree(k.AT_FDCWD, path, k.OPEN_TREE_CLONE | k.AT_RECURSIVE)
        finally:
            syscalls.setns(own, k.CLONE_NEWNS)
    finally:
        os.close(own)
