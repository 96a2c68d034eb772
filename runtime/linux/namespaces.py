"""Namespaces by their OCI names: clone(2) flags, joining those of a process, sockets of another one."""

import os
import socket
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


def socket_in(namespace: int, family: int, kind: int) -> socket.socket:
    """A socket of the network namespace that descriptor `namespace` stands for; -1 = the present one.

    A socket belongs to the namespace it was made in for good. Raises OSError.
    """
    kind |= socket.SOCK_CLOEXEC
    if namespace < 0:
        return socket.socket(family, kind)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(namespace, k.CLONE_NEWNET)
        try:
            return socket.socket(family, kind)
        finally:
            syscalls.setns(own, k.CLONE_NEWNET)
    finally:
        os.close(own)
