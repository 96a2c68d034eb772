"""What a container's writable layer may take on the disk: each limited one is a quota project of its own."""

import os

from runtime.errors import UnsupportedError
from runtime.linux import project_quota
from runtime.store.paths import Paths

# Far from the numbers that people give out by hand in /etc/projects.
_PROJECTS = range(1 << 30, (1 << 31) - 1)


def check_storage_limit(paths: Paths) -> None:
    """Raises UnsupportedError where the file system of the data directory can't hold a layer to its size."""
    fd = os.open(paths.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not project_quota.are_enforced(fd):
            raise UnsupportedError(
                f"storage_opt.size: the file system of {paths.data} does not enforce project quotas",
                hint="put the data directory on XFS or ext4 mounted with `prjquota`"
                " (ext4 also needs `tune2fs -O project,quota`), or leave the limit out",
            )
    finally:
        os.close(fd)


def limit_storage(layer: str, size_bytes: int) -> None:
    """Limit what will be written below `layer`, which is made. Raises OSError."""
    os.mkdir(layer, 0o711)
    fd = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        project = _any_project()
        while not project_quota.is_unused(fd, project):
            project = _any_project()
        project_quota.set_limit(fd, project, size_bytes)
        project_quota.set_project(fd, project)
    finally:
        os.close(fd)


def _any_project() -> int:
    return _PROJECTS[int.from_bytes(os.urandom(4), "little") % len(_PROJECTS)]


def release_storage(layer: str) -> None:
    """Take the limit of a layer away: nothing but its number would be left of it. Raises OSError."""
    try:
        fd = os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        project = project_quota.project_of(fd)
        if project in _PROJECTS:
            project_quota.set_limit(fd, project, 0)
    finally:
        os.close(fd)
