"""What this kernel can do, asked of the kernel itself and not of its version."""

import errno
import os
from collections.abc import Callable

from runtime.linux import constants as k
from runtime.linux import syscalls


def missing_calls() -> tuple[str, ...]:
    """The system calls the engine cannot do without and this kernel lacks; empty on Linux 5.12 and later."""
    probes: tuple[tuple[str, Callable[[], None]], ...] = (
        ("openat2 (Linux 5.6)", lambda: os.close(syscalls.openat2(k.AT_FDCWD, "/", os.O_RDONLY))),
        ("close_range (Linux 5.9)", lambda: syscalls.close_range(0xFFFFFFFE, 0xFFFFFFFE)),
        ("mount_setattr (Linux 5.12)", lambda: syscalls.mount_setattr(-1, "x", 0)),
        ("pidfd_open (Linux 5.3)", lambda: os.close(os.pidfd_open(os.getpid()))),
    )
    missing: list[str] = []
    for name, probe in probes:
        try:
            probe()
        except OSError as error:
            if error.errno == errno.ENOSYS:
                missing.append(name)
    return tuple(missing)


def has_filesystem(name: str) -> bool:
    """Whether the kernel has this file system loaded (/proc/filesystems); a module may still bring it."""
    with open("/proc/filesystems", encoding="ascii") as file:
        return any(line.split()[-1] == name for line in file)


def has_seccomp_filter() -> bool:
    """Whether seccomp filters are there (proc(5), seccomp/actions_avail)."""
    return os.path.exists("/proc/sys/kernel/seccomp/actions_avail")


def has_namespace(kind: str) -> bool:
    """Whether a namespace kind exists, by its name in /proc/self/ns ("pid", "net", "cgroup", …)."""
    return os.path.exists(f"/proc/self/ns/{kind}")
