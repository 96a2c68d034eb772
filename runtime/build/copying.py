"""COPY and ADD: files into a root file system that nobody trusts, by descriptors below it."""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from typing import NamedTuple

from runtime.build.dockerfile import DockerfileError
from runtime.build.ignore import Matcher
from runtime.build.tree import Found, Tree
from runtime.errors import ImageError
from runtime.image.stream import LayerStream, chunks
from runtime.linux.paths import O_PATH, ensure_directory, open_in_root, open_root

_CHUNK = 1 << 20
_TAR_MAGIC_AT = 257


class Look(NamedTuple):
    """What copied files are given: owner (None = as they are, or root's), and a mode ("" = their own)."""

    owner: tuple[int, int] | None = None
    mode: str = ""
    latest_s: int | None = None

    def mode_of(self, mode: int) -> int:
        return apply_mode(self.mode, mode) if self.mode else stat.S_IMODE(mode)


def apply_mode(change: str, mode: int) -> int:
    """An octal mode, or chmod(1)'s symbolic form ("u=rwX,go=rX"). Raises DockerfileError."""
    if change.isdigit():
        try:
            return int(change, 8) & 0o7777
        except ValueError as error:
            raise DockerfileError(f"--chmod={change} is not an octal mode") from error
    result = stat.S_IMODE(mode)
    for clause in change.split(","):
        result = _apply_clause(clause, result, is_directory=stat.S_ISDIR(mode))
    return result


def _apply_clause(clause: str, mode: int, *, is_directory: bool) -> int:
    index, operator = 0, ""
    for index, operator in enumerate(clause):  # noqa: B007
        if operator in "+-=":
            break
    else:
        raise DockerfileError(f"--chmod={clause} is not a mode", hint="755, or u=rwX,go=rX")
    who, letters = clause[:index] or "a", clause[index + 1 :]
    execute = "x" if is_directory or mode & 0o111 else ""
    bits = 0
    for letter in letters.replace("X", execute):
        if letter not in "rwxst":
            raise DockerfileError(f"--chmod={clause}: {letter} is not r, w, x, X, s or t")
        bits |= {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}[letter]
    mask = sum({"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0}.get(letter, 0) for letter in set(who))
    mask = 0o7777 if "a" in who else mask | (bits & 0o1000)
    if operator == "+":
        return mode | (bits & mask)
    if operator == "-":
        return mode & ~(bits & mask)
    return (mode & ~(mask & 0o777)) | (bits & mask)


class Copier:
    """Copies into the root `root_fd`; everything new gets the look, directories on the way root's and 0755."""

    def __init__(self, root: str, look: Look) -> None:
        self._root = open_root(root)
        self._look = look
        self._directory_times: list[tuple[str, int]] = []

    def close(self) -> None:
        for path, mtime_ns in reversed(self._directory_times):
            try:
                fd = open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            os.utime(fd, ns=(mtime_ns, mtime_ns))
            os.close(fd)
        os.close(self._root)

    def is_directory(self, path: str) -> bool:
        """Whether a path of the root is a directory."""
        try:
            os.close(open_in_root(self._root, path, O_PATH | os.O_DIRECTORY))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def directory(self, path: str) -> int:
        """A directory of the root, made with its parents where it is missing; the caller closes it."""
        made = not self.is_directory(path)
        try:
            fd = ensure_directory(self._root, path or "/")
        except FileNotFoundError as error:
            raise DockerfileError(
                f"{path} leads through a link to nothing", hint="make its target first"
            ) from error
        except NotADirectoryError as error:
            raise DockerfileError(f"{path} is not a directory in the image") from error
        if made and self._look.owner is not None:
            os.chown(f"/proc/self/fd/{fd}", *self._look.owner)
        return fd

    def copy(self, tree: Tree, source: Found, target: str, exclude: Matcher | None = None) -> None:
        """A file to the path `target`, or a directory's content into the directory `target`."""
        if not stat.S_ISDIR(source.status.st_mode):
            self._file(tree, source.path, source.status, target)
            return
        os.close(self.directory(target))
        start = len(source.path) + 1 if source.path else 0
        for path, status in tree.walk(source.path, exclude):
            inner = f"{target.rstrip('/')}/{path[start:]}"
            if stat.S_ISDIR(status.st_mode):
                self._directory(tree, path, status, inner)
            else:
                self._file(tree, path, status, inner)

    def _directory(self, tree: Tree, path: str, status: os.stat_result, target: str) -> None:
        fd = ensure_directory(self._root, target)
        try:
            self._dress(tree, path, status, f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        self._directory_times.append((target, self._time(status)))

    def _file(self, tree: Tree, path: str, status: os.stat_result, target: str) -> None:
        parent_path, _, name = target.rstrip("/").rpartition("/")
        parent = self.directory(parent_path or "/")
        try:
            self._make_way(parent, name)
            source = f"{tree.root}/{path}"
            place = f"/proc/self/fd/{parent}/{name}"
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(source), name, dir_fd=parent)
            elif stat.S_ISREG(status.st_mode):
                self._content(source, parent, name)
            elif stat.S_ISFIFO(status.st_mode):
                os.mkfifo(name, 0o600, dir_fd=parent)
            elif stat.S_ISSOCK(status.st_mode):
                return
            else:
                os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=parent)
            self._dress(tree, path, status, place)
            times = (self._time(status),) * 2
            os.utime(place, ns=times, follow_symlinks=False)
        finally:
            os.close(parent)

    @staticmethod
    def _make_way(parent: int, name: str) -> None:
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            raise DockerfileError(f"a directory is in the way of file {name}", hint="end the target with /")
        os.unlink(name, dir_fd=parent)

    @staticmethod
    def _content(source: str, parent: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as reading,
            open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as writing,
        ):
            size = os.fstat(reading.fileno()).st_size
            while size > 0:
                try:
                    sent = os.copy_file_range(reading.fileno(), writing.fileno(), min(size, 1 << 30))
                except OSError as error:
                    if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                        raise
                    shutil.copyfileobj(reading, writing, _CHUNK)
                    return
                if not sent:
                    return
                size -= sent

    def _dress(self, tree: Tree, path: str, status: os.stat_result, place: str) -> None:
        is_link = stat.S_ISLNK(status.st_mode)
        owner = self._look.owner or ((status.st_uid, status.st_gid) if tree.keep_owner else (0, 0))
        # A descriptor's own path is a link to what it is open for; a name must not be followed.
        os.chown(place, *owner, follow_symlinks=stat.S_ISDIR(status.st_mode))
        if not is_link:
            os.chmod(place, self._look.mode_of(status.st_mode))
        source = f"{tree.root}/{path}"
        for key in os.listxattr(source, follow_symlinks=False):
            if key.startswith("user.") or key == "security.capability":
                value = os.getxattr(source, key, follow_symlinks=False)
                os.setxattr(place, key, value, follow_symlinks=stat.S_ISDIR(status.st_mode))

    def _time(self, status: os.stat_result) -> int:
        if self._look.latest_s is None:
            return status.st_mtime_ns
        return min(status.st_mtime_ns, self._look.latest_s * 1_000_000_000)

    def unpack(self, archive: str, target: str) -> None:
        """A tar archive, plain or compressed, into the directory `target`. Raises ImageError."""
        import tarfile

        from runtime.image.unpack import unpack_layer

        fd = self.directory(target)
        try:
            with (
                open(archive, "rb") as file,
                tarfile.open(
                    fileobj=LayerStream(chunks(file)),  # type: ignore[call-overload]
                    mode="r|",
                    errors="surrogateescape",
                ) as tar,
            ):
                unpack_layer(tar, f"/proc/self/fd/{fd}", whiteouts=False)
        except tarfile.TarError as error:
            raise ImageError(f"{os.path.basename(archive)} is damaged: {error}") from error
        finally:
            os.close(fd)


def is_archive(path: str) -> bool:
    """Whether ADD unpacks a file: a tar archive, plain or compressed; the name does not matter."""
    try:
        with open(path, "rb") as file:
            stream = LayerStream(chunks(file))
            head = stream.read(512)
    except (OSError, ImageError):
        return False
    return head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" or _is_old_tar(head)


def _is_old_tar(head: bytes) -> bool:
    """A header of the format before POSIX has no magic, but a checksum that fits."""
    if len(head) < 512 or not head.strip(b"\0"):
        return False
    import tarfile

    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def place_of(source: Found, target: str, *, into_directory: bool, parents: bool) -> str:
    """Where a source goes: `target` itself, or below it under its own name (or with --parents, path)."""
    if parents:
        kept = source.name.rpartition("/./")[2] if "/./" in f"/{source.name}" else source.name
        return f"{target.rstrip('/')}/{kept}"
    if stat.S_ISDIR(source.status.st_mode) or not into_directory:
        return target
    return f"{target.rstrip('/')}/{os.path.basename(source.name)}"


def check_target(sources: Sequence[Found], target: str, line: int) -> None:
    """Several files need a directory. Raises DockerfileError."""
    if len(sources) > 1 and not target.endswith("/"):
        raise DockerfileError(
            f"several files can't be copied to one, {target}", line, hint=f"write it as {target}/"
        )
