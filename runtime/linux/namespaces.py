"""Namespaces by their OCI names: clone(2) flags, and joining those of a process."""

from collections.abc import Iterable

from runtime.linux import constants as k
from runtime.linux import syscalls

FLAGS: dict[str, int] = {
    "mount": k.CLONE_NEWNS,
    "cgroup": k.CLONE_NEWCGROUP,
    "uts": k.CLONE_NEWUTS,
    "ipc": k.CLONE_NEWIPC,
    "user": k.CLONE_NEWUSER,
    "pid": k.CLONE_NEWPID,
    "network": k.CLONE_NEWNET,
    "time": k.CLONE_NEWTIME,
}


def flags_of(types: Iterable[str]) -> int:
    """OCI namespace types as CLONE_NEW* bits. Raises KeyError for an unknown one."""
    result = 0
    for name in types:
        result |= FLAGS[name]
    return result


def join_process(pidfd: int, flags: int) -> None:
    """Join several namespaces of a process at once (setns(2) with a pidfd). Raises OSError; ESRCH if it is gone."""
    syscalls.setns(pidfd, flags)
