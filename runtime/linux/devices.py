"""The host's device nodes, for privileged containers."""

import os
import stat

from runtime.oci.spec import Device

# Mounts of their own in a container, or links into the container's /proc.
_OWN = {"pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "core", "console", "ptmx", "log"}


def describe_node(path: str, status: os.stat_result) -> Device | None:
    """A device node like that one at `path`; None for what is no device."""
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def load_host_devices(directory: str = "/dev") -> list[Device]:
    """All character and block devices below `directory`, by path. What cannot be read is left out."""
    found: list[Device] = []
    for where, directories, files in os.walk(directory):
        if where == directory:
            directories[:] = [name for name in directories if name not in _OWN]
            files = [name for name in files if name not in _OWN]
        for name in files:
            path = f"{where}/{name}"
            try:
                status = os.lstat(path)
            except OSError:
                continue
            device = describe_node(path, status)
            if device is not None:
                found.append(device)
    return sorted(found, key=lambda device: device["path"])
