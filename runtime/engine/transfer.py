"""`cp` and `export`: files between the host and a container's root file system, always as a tar stream between two.

Neither side is trusted: each is a root directory, and paths are resolved inside it (`linux.paths`), also when
links in it change meanwhile. The rules for names are those of `docker cp`.
"""

import errno
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, NamedTuple

from runtime.errors import EngineError, InvalidError, NotFoundError, StateError
from runtime.image.differ import write_entry, write_tree
from runtime.image.unpack import unpack_layer
from runtime.image.workers import die_with
from runtime.linux.paths import O_PATH, mount_path, open_in_root
from runtime.linux.syscalls import syncfs

_MAX_LINKS = 40


class Location(NamedTuple):
    """A path inside a root directory (a descriptor). `where` is how messages name the root: "container web-1"."""

    root: int
    path: str
    where: str = ""

    @property
    def name(self) -> str:
        """The last part of the path; "." if it ends with one, "" for the root."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The path without its last part."""
        return self.path.rstrip("/").rpartition("/")[0] or "/"

    @property
    def asserts_directory(self) -> bool:
        """Whether the path can only mean a directory."""
        return self.path.endswith("/") or self.name in ("", ".", "..")


Owner = tuple[int, int]
Source = Callable[[IO[bytes]], None]


def copy_files(
    source: Location, target: Location, *, follow: bool = False, owner: Owner | None = None
) -> None:
    """Copy a file or directory with all below it. Raises NotFoundError, InvalidError, ImageError, OSError.

    A target directory that exists gets the source into it, a source that ends with `/.` what is in that. `follow`: a
    source that is a symbolic link stands for what it leads to. `owner` (uid, gid) gets all files; None keeps theirs.
    """
    with _opened(source, follow=follow) as (parent, name, is_directory):
        directory, member = _place(source, target, is_directory=is_directory)

        def write(file: IO[bytes]) -> None:
            if member == ".":  # the target keeps its own owner and mode
                _write_content(file, parent)
            else:
                _write(file, parent, name, member)

        try:
            with archived(write) as stream:
                unpack_at(stream, directory, owner)
        finally:
            os.close(directory)


def send_files(source: Location, file: IO[bytes], *, follow: bool = False) -> None:
    """Write a file or directory as a tar, under its own name. Raises NotFoundError, InvalidError, OSError."""
    with _opened(source, follow=follow) as (parent, name, _):
        _write(file, parent, name, source.name or ".")


def receive_files(file: IO[bytes], target: Location, *, owner: Owner | None = None) -> None:
    """Unpack a tar into a directory that exists. Raises InvalidError, ImageError, OSError."""
    directory = _open_directory(_resolve_links(target))
    if directory < 0:
        raise InvalidError(f'destination "{target.where}:{target.path}" must be a directory')
    try:
        unpack_at(file, directory, owner)
    finally:
        os.close(directory)


def unpack_archive(file: IO[bytes], folder: str) -> None:
    """Unpack a tar into a folder that nobody else sees yet, durably. Raises InvalidError, ImageError, OSError."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack_at(file, directory, None)
        syncfs(directory)
    finally:
        os.close(directory)


def send_root(root: int, file: IO[bytes]) -> None:
    """Write all of a root directory as a tar. Raises OSError."""
    _write_content(file, root)


# ---- the source


@contextmanager
def _opened(source: Location, *, follow: bool) -> Iterator[tuple[int, str, bool]]:
    """The source as a directory (O_RDONLY) and a name in it, "." = that itself; and whether it is a directory."""
    try:
        found = _open_source(source, follow=follow)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, NotADirectoryError) and source.asserts_directory:
            raise InvalidError(f"{source.path}: not a directory") from error
        raise _missing(source, source.path) from error
    try:
        yield found
    finally:
        os.close(found[0])


def _open_source(source: Location, *, follow: bool) -> tuple[int, str, bool]:
    if source.asserts_directory:
        return open_in_root(source.root, source.path or "/", os.O_RDONLY | os.O_DIRECTORY), ".", True
    path = _resolve_links(source).path if follow else source.path
    location = source._replace(path=path)
    parent = open_in_root(source.root, location.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        status = os.stat(location.name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return parent, location.name, False
        directory = os.open(location.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except BaseException:
        os.close(parent)
        raise
    os.close(parent)
    return directory, ".", True


def _write(file: IO[bytes], parent: int, name: str, member: str) -> None:
    with _writing(file) as archive:
        write_entry(archive, parent, name, member)


def _write_content(file: IO[bytes], directory: int) -> None:
    with _writing(file) as archive:
        write_tree(archive, f"{mount_path(directory)}/.")


def _writing(file: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape")


@contextmanager
def archived(source: Source) -> Iterator[IO[bytes]]:
    """What `source` writes, which a process of its own does. Raises StateError with its reason if it fails.

    That process ends when the reader stops reading, for whatever reason, and with the caller.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    told, tell = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # With a reader of its own it would wait for ever for the other to go on.
        os.close(reader)
        os.close(told)
        _be_writer(source, writer, tell, parent)
    os.close(writer)
    os.close(tell)
    with open(told) as failure:
        try:
            with open(reader, "rb") as stream:
                yield stream
                while stream.read(1 << 16):  # what tar pads its end with
                    pass
        except EngineError as error:
            # An archive that breaks off says why at the other end.
            reason = failure.read()
            raise (StateError(reason) if reason else error) from error
        finally:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # where SIGCHLD is ignored the kernel reaps
        reason = failure.read()
        if reason:
            raise StateError(reason)


def _be_writer(source: Source, writer: int, tell: int, parent: int) -> None:
    try:
        die_with(parent)
        with open(writer, "wb", buffering=1 << 20) as file:
            source(file)
    except BrokenPipeError:
        pass  # the reader has its own reason to stop
    except BaseException as error:
        os.write(tell, str(error).encode()[:4096] or b"unknown failure")
    finally:
        os._exit(0)


# ---- the target


def _place(source: Location, target: Location, *, is_directory: bool) -> tuple[int, str]:
    """The directory (O_PATH) to unpack into, and the name that the source gets there, "." = it becomes the directory.

    Raises InvalidError, NotFoundError.
    """
    target = _resolve_links(target)
    directory = _open_directory(target)
    if directory >= 0:
        # "SRC/." and the root are what is in them.
        return directory, "." if source.name in ("", ".") else _name(source)
    exists = _exists(target)
    if is_directory and exists:
        raise InvalidError(f"cannot copy directory {source.path} over the file {target.path}")
    if not is_directory and target.asserts_directory:
        raise InvalidError(
            f"{target.path}: no such directory", hint="make it before, or leave out the / at its end"
        )
    directory = _open_directory(target._replace(path=target.parent))
    if directory < 0:
        raise _missing(target, target.parent)
    return directory, target.name


def _name(source: Location) -> str:
    if source.name != "..":
        return source.name
    raise InvalidError(
        f"{source.path}: what is the name of that?", hint="name the directory, or write /. after it"
    )


def _resolve_links(target: Location) -> Location:
    """The path that a final symbolic link leads to, whether there is something or not."""
    for _ in range(_MAX_LINKS):
        if target.asserts_directory:
            return target
        try:
            parent = open_in_root(target.root, target.parent, O_PATH | os.O_DIRECTORY)
        except OSError:
            return target
        try:
            link = os.readlink(target.name, dir_fd=parent)
        except OSError:
            return target
        finally:
            os.close(parent)
        target = target._replace(path=link if link.startswith("/") else f"{target.parent}/{link}")
    raise InvalidError(f"{target.path}: too many symbolic links")


def _open_directory(target: Location) -> int:
    """A descriptor (O_PATH), -1 if it is no directory."""
    try:
        return open_in_root(target.root, target.path or "/", O_PATH | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return -1
        raise


def _exists(target: Location) -> bool:
    try:
        os.close(open_in_root(target.root, target.path.rstrip("/"), O_PATH))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def unpack_at(stream: IO[bytes], directory: int, owner: Owner | None) -> None:
    """Unpack a tar into an opened directory, which may have content. Raises InvalidError, ImageError, OSError."""
    try:
        archive = tarfile.open(fileobj=stream, mode="r|*", errors="surrogateescape")
    except tarfile.ReadError as error:
        raise InvalidError(f"this is no tar archive: {error}") from error
    with archive:
        unpack_layer(archive, mount_path(directory), whiteouts=False, keep_kinds=True, owner=owner)


def _missing(location: Location, path: str) -> NotFoundError:
    place = f" in {location.where}" if location.where else ""
    return NotFoundError(f"Could not find the file {path}{place}")
