"""Volumes on disk: DATA/volumes/NAME/_data, filled from the image at first use.

Labels and owners are the index's.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.store.files import remove_tree
from runtime.store.paths import Paths

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")


class VolumeStore:
    """The volumes of one DATA root."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def create(self, name: str = "") -> str:
        """Makes a volume, an anonymous one without a name; returns its name. There already: no error.

        Raises InvalidError for a name that can't be one.
        """
        name = name or os.urandom(32).hex()
        if not _NAME.match(name) or len(name) > 255:
            raise InvalidError(
                f"{name!r} is not a valid volume name",
                hint="letters, digits and _.- only, beginning with a letter or digit",
            )
        os.makedirs(self._paths.volumes, mode=0o701, exist_ok=True)
        for path, mode in ((self._paths.volume(name), 0o701), (self.data(name), 0o755)):
            try:
                os.mkdir(path, mode)
                os.chmod(path, mode)  # whatever the umask
            except FileExistsError:
                pass
        return name

    def data(self, name: str) -> str:
        """The directory that containers mount."""
        return f"{self._paths.volume(name)}/_data"

    def exists(self, name: str) -> bool:
        return bool(_NAME.match(name)) and os.path.isdir(self.data(name))

    def list_volumes(self) -> list[str]:
        """Names of all volumes, sorted."""
        try:
            return sorted(name for name in os.listdir(self._paths.volumes) if self.exists(name))
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> str:
        """Moves a volume into the trash, which is emptied later; returns where it is. Raises NotFoundError.

        That no container uses it is the caller's to know.
        """
        if not self.exists(name):
            raise NotFoundError(f"volume {name} is not there", hint="`pycompose volume ls` lists them")
        os.makedirs(self._paths.trash, mode=0o700, exist_ok=True)
        target = f"{self._paths.trash}/volume-{os.urandom(8).hex()}"
        os.rename(self._paths.volume(name), target)
        return target

    def fill(self, name: str, rootfs: str, path: str) -> bool:
        """Copies `path` of a mounted root file system into a volume that is empty; whether there was
        anything.

        Owners, modes, attributes and times come along; links are resolved as inside the root. The copy takes
        the volume's place in one step. Raises OSError.
        """
        with self._locked(name):
            if not is_empty(self.data(name)):
                return False
            from runtime.volume.copy import copy_from_root  # only the first use of a volume pays for it

            fresh = f"{self._paths.volume(name)}/.fill"
            if not copy_from_root(rootfs, path, fresh):
                return False
            os.rename(fresh, self.data(name))
            return True

    def replace_empty(self, name: str, make: Callable[[str], None]) -> None:
        """Has `make` fill a folder, which then takes the place of an empty volume's content in one step.

        Raises ConflictError if the volume is not empty, and what `make` raises.
        """
        with self._locked(name):
            if not is_empty(self.data(name)):
                raise ConflictError(
                    f"volume {name} is not empty", hint="import into a new one, or remove it before"
                )
            fresh = f"{self._paths.volume(name)}/.import"
            remove_tree(fresh)  # a killed import's
            os.mkdir(fresh, 0o755)
            try:
                make(fresh)
            except BaseException:
                remove_tree(fresh)
                raise
            os.rename(fresh, self.data(name))

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Two containers may start with one new volume at the same moment."""
        fd = os.open(self._paths.volume(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def is_empty(directory: str) -> bool:
    """Whether a directory has nothing in it."""
    with os.scandir(directory) as entries:
        return next(entries, None) is None
