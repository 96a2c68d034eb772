"""User namespaces: writing id maps, and a namespace made only for its maps (idmapped mounts want one)."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.linux import constants as k
from runtime.linux import syscalls

if TYPE_CHECKING:
    from runtime.oci.spec_extra import IdMapping


def write_maps(pid: int, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> None:
    """Give a process's new user namespace its ids (user_namespaces(7)). Raises OSError with the file's path.

    Without privilege setgroups(2) has to be given up first.
    """
    if os.geteuid() != 0:
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/gid_map", map_text(gids))
    _write(f"/proc/{pid}/uid_map", map_text(uids))


def map_text(mappings: Sequence[IdMapping]) -> str:
    """Mappings as the kernel reads them: "inside outside size" lines."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)


def open_mapped(uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> int:
    """A descriptor of a user namespace with these maps, which no process is in. Raises OSError."""
    pid, pidfd = syscalls.clone3(k.CLONE_NEWUSER)
    if pid == 0:
        try:
            syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pause()
        finally:
            os._exit(0)
    try:
        write_maps(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
