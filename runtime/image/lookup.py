"""Looks a path up in the layers of an image as overlayfs would show them, without mounting anything.

For checks before a container is made; what it writes, and what is mounted into it, is not known here. On the
start path.
"""

import errno
import os
import stat
from collections.abc import Collection, Sequence

from runtime.image.snapshot import SnapshotMount

_MOST_LINKS = 40  # as path_resolution(7)
_OPAQUE = "trusted.overlay.opaque"


class MergedTree:
    """The tree that a snapshot's overlays show together. `covered` are paths that mounts will hide."""

    def __init__(self, mounts: Sequence[SnapshotMount], covered: Collection[str] = ()) -> None:
        self._lower = {mount.target: mount.lower for mount in mounts}
        self._covered = frozenset(path.rstrip("/") or "/" for path in covered)

    def may_hold(self, path: str) -> bool:
        """Whether the absolute `path` is there, symbolic links followed; True too where it cannot be told."""
        todo = _parts(path)
        done: list[str] = []
        branches: Sequence[str] = self._lower["/"]
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                todo += reversed(done[:-1])
                done, branches = [], self._lower["/"]
                continue
            logical = "/" + "/".join((*done, name))
            if logical in self._covered:
                return True
            first, directories = _look(branches, name)
            if first is None:
                return False
            if stat.S_ISLNK(os.lstat(first).st_mode):
                links += 1
                if links > _MOST_LINKS:
                    return False
                target = os.readlink(first)
                todo += _parts(target)
                if target.startswith("/"):
                    done, branches = [], self._lower["/"]
                continue
            if todo and not directories:
                return False
            done.append(name)
            branches = self._lower.get(logical, directories)
        return True


def _parts(path: str) -> list[str]:
    """The path's names, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _look(branches: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """What overlayfs takes `name` from (None = absent), and all that it merges if that is a directory."""
    first: str | None = None
    directories: list[str] = []
    for branch in branches:
        path = f"{branch}/{name}"
        try:
            found = os.lstat(path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            continue
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            break  # a whiteout
        first = first or path
        if not stat.S_ISDIR(found.st_mode):
            break
        directories.append(path)
        if _is_opaque(path):
            break
    return first, directories


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        # Not set, or a file system without extended attributes.
        return False
