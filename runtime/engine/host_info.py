"""What `system info` and `system df` tell: the machine as the engine uses it, and sizes of folders."""

import os
from typing import NamedTuple

from runtime.cgroups.detect import detect_layout


class HostInfo(NamedTuple):
    """`cgroups`: "v1", "v2" or "hybrid"; `security`: the kernel's means in use."""

    cgroups: str
    security: tuple[str, ...]


def describe_host() -> HostInfo:
    """What this machine's kernel offers. Raises OSError."""
    try:
        with open("/sys/kernel/security/lsm") as file:
            modules = [name for name in file.read().strip().split(",") if name in ("apparmor", "selinux")]
    except OSError:
        modules = []
    return HostInfo(detect_layout().mode, ("name=seccomp", *(f"name={name}" for name in modules)))


def folder_bytes(folder: str) -> int:
    """What the files below a folder take on their disk; files with several names count once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(f"{path}/{name}")
            except FileNotFoundError:
                continue
            key = (status.st_dev, status.st_ino)
            if status.st_nlink == 1 or key not in seen:
                seen.add(key)
                total += status.st_blocks * 512
    return total
