"""Volumes on disk: DATA/volumes/NAME/_data, filled from the image at first use; labels and owners are the index's.

_data/          the content, or where driver_opts are mounted
options.json    driver_opts, if it has any
.filling        there while a volume with driver_opts is being filled
.fill, .filled  being copied from an image or an archive; copied, and on its way into _data (see `_Filling`)
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.store.files import read_json, remove_tree, write_json
from runtime.store.paths import Paths

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")


class VolumeStore:
    """The volumes of one DATA root."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def create(self, name: str = "", options: Mapping[str, str] | None = None) -> str:
        """Makes a volume, an anonymous one without a name; returns its name. There already: no error.

        `options` are driver_opts. Raises InvalidError for a name or an option that can't be one.
        """
        name = name or os.urandom(32).hex()
        if not _NAME.match(name) or len(name) > 255:
            raise InvalidError(
                f"{name!r} is not a valid volume name",
                hint="letters, digits and _.- only, beginning with a letter or digit",
            )
        if options:
            from runtime.volume.options import parse_driver_options

            parse_driver_options(options, name)
        os.makedirs(self._paths.volumes, mode=0o701, exist_ok=True)
        for path, mode in ((self._paths.volume(name), 0o701), (self.data(name), 0o755)):
            try:
                os.mkdir(path, mode)
                os.chmod(path, mode)  # whatever the umask
            except FileExistsError:
                pass
        if options:
            write_json(self._options(name), options)
        return name

    def _options(self, name: str) -> str:
        return f"{self._paths.volume(name)}/options.json"

    def options(self, name: str) -> dict[str, str]:
        """Its driver_opts."""
        return read_json(self._options(name)) or {}

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

    def prepare(self, name: str, rootfs: str, path: str, *, copy: bool, container_id: str = "") -> None:
        """Makes a volume ready for a container that mounts it at `path` of its mounted root file system.

        Mounts its driver_opts in the caller's mount namespace, ends a filling that was cut off, and with `copy`
        fills it if it is empty; owners, modes, attributes and times come along. Raises StartError for driver_opts
        that cannot be mounted, OSError.
        """
        options = self.options(name)
        if not options and not copy and not os.path.isdir(f"{self._paths.volume(name)}/.filled"):
            return
        with self._locked(name):
            if options:
                from runtime.volume.mounting import mount_volume
                from runtime.volume.options import parse_driver_options

                mount = parse_driver_options(options, name)
                if mount is not None:
                    mount_volume(self._paths, name, self.data(name), mount, container_id)
                if copy:
                    self._merge(name, rootfs, path)
                return
            filling = _Filling(self._paths.volume(name))
            filling.finish()
            if copy:
                filling.fill(rootfs, path)

    def _merge(self, name: str, rootfs: str, path: str) -> None:
        """Fill what is mounted over a volume's folder, in place: it may be a folder of the host."""
        mark = f"{self._paths.volume(name)}/.filling"
        if os.path.lexists(mark) or is_empty(self.data(name)):
            from runtime.volume.copy import merge_from_root

            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            merge_from_root(rootfs, path, self.data(name))
            os.unlink(mark)

    def replace_empty(self, name: str, make: Callable[[str], None]) -> None:
        """Has `make` fill a folder, whose content then moves into an empty volume: all of it or nothing.

        Raises ConflictError if the volume is not empty, InvalidError if its content is somewhere else (driver_opts),
        and what `make` raises.
        """
        self._refuse_elsewhere(name, hint="write to that place")
        with self._locked(name):
            filling = _Filling(self._paths.volume(name))
            filling.finish()
            self._refuse_content(name)
            remove_tree(filling.fresh)  # a killed one's
            os.mkdir(filling.fresh, 0o755)
            try:
                make(filling.fresh)
                self._refuse_content(name)  # of a container that was started meanwhile
            except BaseException:
                remove_tree(filling.fresh)
                raise
            filling.commit()

    def _refuse_content(self, name: str) -> None:
        if not is_empty(self.data(name)):
            raise ConflictError(
                f"volume {name} is not empty", hint="import into a new one, or remove it before"
            )

    def settled(self, name: str) -> str:
        """The folder with all of a volume's content, a filling that was cut off included.

        Raises InvalidError if its content is somewhere else (driver_opts), OSError.
        """
        self._refuse_elsewhere(name, hint="read that place")
        with self._locked(name):
            _Filling(self._paths.volume(name)).finish()
        return self.data(name)

    def _refuse_elsewhere(self, name: str, *, hint: str) -> None:
        options = self.options(name)
        if options:
            words = " ".join(f"{key}={value}" for key, value in options.items())
            raise InvalidError(f"volume {name} is mounted from somewhere else: {words}", hint=hint)

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Two containers may start with one new volume at the same moment."""
        fd = os.open(self._paths.volume(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


class _Filling:
    """The copy of an image's or an archive's content into a volume, which may be killed at any moment.

    `.fill` (`fresh`) is what has been copied so far, and worth nothing; renamed to `.filled` it is whole, and moves
    into the volume entry by entry. Until the last one has, `.filled` is there, and whoever comes next goes on. The
    volume's directory stays the same one, so that containers which have it mounted see what comes.
    """

    def __init__(self, folder: str) -> None:
        self._data = f"{folder}/_data"
        self.fresh = f"{folder}/.fill"
        self._whole = f"{folder}/.filled"

    def fill(self, rootfs: str, path: str) -> None:
        """Copy, if the volume is empty and there is anything to copy."""
        if not is_empty(self._data):
            return
        from runtime.volume.copy import copy_from_root  # only the first use of a volume pays for it

        if copy_from_root(rootfs, path, self.fresh):
            self.commit()

    def commit(self) -> None:
        """What is in `fresh` is whole: move it into the volume."""
        os.rename(self.fresh, self._whole)
        self.finish()

    def finish(self) -> None:
        """Move what is whole into the volume; what is there already stays as it is."""
        if not os.path.isdir(self._whole):
            return
        from runtime.volume.copy import dress

        for name in os.listdir(self._whole):
            target = f"{self._data}/{name}"
            if not os.path.lexists(target):
                os.rename(f"{self._whole}/{name}", target)
        dress(self._whole, self._data)
        remove_tree(self._whole)


def is_empty(directory: str) -> bool:
    """Whether a directory has nothing in it."""
    with os.scandir(directory) as entries:
        return next(entries, None) is None
