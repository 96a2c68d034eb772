"""Files inside a root directory that nobody trusts: every path is resolved by openat2(2) as if chrooted there.

Symbolic links, also absolute ones and "..", stay inside; /proc magic links are refused (RESOLVE_IN_ROOT).
"""

import errno
import os
import stat

from runtime.linux import constants as k
from runtime.linux import syscalls

O_PATH = 0x200000  # os.O_PATH exists on Linux only, mypy wants it on all platforms
_IN_ROOT = k.RESOLVE_IN_ROOT | k.RESOLVE_NO_MAGICLINKS


def open_root(root: str) -> int:
    """A descriptor of the root directory itself, for the other functions. Raises OSError."""
    return os.open(root, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` inside the root. Raises OSError with the path as seen inside."""
    return syscalls.openat2(root_fd, path, flags, mode, _IN_ROOT)


def exists_in_root(root_fd: int, path: str) -> bool:
    """Whether `path` resolves to something inside the root."""
    try:
        os.close(open_in_root(root_fd, path, O_PATH))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    return True


def read_in_root(root_fd: int, path: str, limit_bytes: int = 1 << 20) -> bytes:
    """The first `limit_bytes` of a regular file inside the root. Raises OSError; EINVAL if it is no file."""
    # O_NONBLOCK: a FIFO or device planted at the path must not make us wait.
    fd = open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        chunks: list[bytes] = []
        while limit_bytes > 0 and (chunk := os.read(fd, limit_bytes)):
            chunks.append(chunk)
            limit_bytes -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def ensure_directory(root_fd: int, path: str, mode: int = 0o755, *, _links: int = 40) -> int:
    """Open the directory `path` inside the root, created with its parents where missing. Raises OSError.

    A symbolic link that leads nowhere is followed too: what it names inside the root is created.
    """
    try:
        return open_in_root(root_fd, path, O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        pass
    current = os.dup(root_fd)
    walked = ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    try:
        for place, part in enumerate(parts):
            parent, walked = walked, f"{walked}/{part}"
            try:
                following = open_in_root(root_fd, walked, O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                link = _read_link(current, part)
                if link is not None:
                    if _links == 0:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
                    target = link if link.startswith("/") else f"{parent}/{link}"
                    rest = "/".join([target, *parts[place + 1 :]])
                    return ensure_directory(root_fd, rest, mode, _links=_links - 1)
                _make_directory(current, part, mode)
                following = open_in_root(root_fd, walked, O_PATH | os.O_DIRECTORY)
            current, previous = following, current
            os.close(previous)
        result, current = current, -1
        return result
    finally:
        if current >= 0:
            os.close(current)


def _read_link(parent_fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=parent_fd)
    except OSError:
        return None


def ensure_file(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Open (O_PATH) the file `path` inside the root, created empty with its parents where missing."""
    try:
        return open_in_root(root_fd, path, O_PATH)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    if parent:
        os.close(ensure_directory(root_fd, parent))
    created = open_in_root(root_fd, f"{parent}/{name}", os.O_CREAT | os.O_WRONLY | os.O_NOCTTY, mode)
    os.close(created)
    return open_in_root(root_fd, path, O_PATH)


def _make_directory(parent_fd: int, name: str, mode: int) -> None:
    """mkdirat(2); a dangling symbolic link there stays an error (EEXIST, then ENOENT at the next open)."""
    if name == "..":
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    try:
        os.mkdir(name, mode, dir_fd=parent_fd)
    except FileExistsError:
        pass


def sysctl_path(name: str) -> str:
    """The file of a sysctl by either of its spellings (sysctl(8)): kernel.msgmax, kernel/msgmax.

    The first separator is the one that counts; the other then stands for itself: net.ipv4.conf.eth0/1.forwarding.
    """
    if "." in name.partition("/")[0]:
        name = name.translate({ord("."): "/", ord("/"): "."})
    return f"/proc/sys/{name}"


def mount_path(fd: int) -> str:
    """A path by which mount(2) finds exactly the opened file (proc(5), /proc/self/fd)."""
    return f"/proc/self/fd/{fd}"
