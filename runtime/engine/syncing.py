"""`watch`: files that changed on the host, brought to their places in a running container, or taken away there."""

import errno
import os
import shutil
import stat
import tarfile
from collections.abc import Mapping
from typing import IO

from runtime.engine.transfer import archived, unpack_at
from runtime.image.differ import write_entry
from runtime.linux.paths import O_PATH, ensure_directory, open_in_root

_ROOT_OWNER = (0, 0)


def sync_files(root: int, files: Mapping[str, str]) -> None:
    """Bring files to a root directory (a descriptor). `files`: path of the container -> path of the host.

    What is not there on the host is removed. Directories are made, not copied. All belongs to root, as the reference
    has it. Raises ImageError, StateError, OSError.
    """
    present: dict[str, str] = {}
    for target, source in sorted(files.items()):
        try:
            mode = os.lstat(source).st_mode
        except (FileNotFoundError, NotADirectoryError):
            _remove(root, target)
            continue
        if stat.S_ISDIR(mode):
            os.close(ensure_directory(root, target))
        else:
            present[target] = source
    if not present:
        return

    def write(file: IO[bytes]) -> None:
        with tarfile.open(
            fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape"
        ) as archive:
            for target, source in present.items():
                _add(archive, source, target.lstrip("/"))

    with archived(write) as stream:
        unpack_at(stream, root, _ROOT_OWNER)


def _add(archive: tarfile.TarFile, source: str, member: str) -> None:
    directory, _, name = source.rpartition("/")
    try:
        parent = os.open(directory or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # gone meanwhile: its removal is news of its own
        return
    try:
        write_entry(archive, parent, name, member)
    except FileNotFoundError:
        pass
    finally:
        os.close(parent)


def _remove(root: int, target: str) -> None:
    directory, _, name = target.rstrip("/").rpartition("/")
    try:
        parent = open_in_root(root, directory or "/", O_PATH | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return
        raise
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    finally:
        os.close(parent)
