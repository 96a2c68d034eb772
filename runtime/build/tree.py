"""Files that COPY, ADD and mounts take: trees with patterns applied, hashed by content, copied with their looks.

A `Tree` is a directory nobody trusts (a context, another stage, an image). Everything in it is reached by descriptors
below its root, as if chrooted there.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from runtime.build.cache import FileDigests
from runtime.build.dockerfile import DockerfileError
from runtime.build.ignore import Matcher, translate
from runtime.build.witness import Witness
from runtime.linux.paths import O_PATH, open_in_root

_MAGIC = re.compile(r"[*?\[\\]")


class Found(NamedTuple):
    """One source: `path` from the tree's root (links resolved), `name` as it was asked for."""

    path: str
    name: str
    status: os.stat_result


class Tree:
    """A directory to take files from. `ignore` hides some; `keep_owner`: files keep their owners.

    `witness` is told of everything that is looked at.
    """

    def __init__(
        self,
        root: str,
        ignore: Matcher | None = None,
        *,
        keep_owner: bool = False,
        witness: Witness | None = None,
    ) -> None:
        self.root = root
        self.ignore = ignore or Matcher(())
        self.keep_owner = keep_owner
        self._witness = witness or Witness()

    def find(self, pattern: str, line: int = 0) -> list[Found]:
        """What a source of COPY names, in the order of names. Raises DockerfileError if it is nothing."""
        plain = "/".join(part for part in pattern.split("/") if part not in ("", "."))
        if ".." in plain.split("/"):
            parts: list[str] = []
            for part in plain.split("/"):
                if part == "..":
                    parts = parts[:-1]
                else:
                    parts.append(part)
            plain = "/".join(parts)
        names = self._glob(plain) if _MAGIC.search(plain) else [plain]
        found = [item for name in names if (item := self._resolve(name)) is not None]
        if not found and not _MAGIC.search(plain):
            hint = (
                "it is left out by .dockerignore" if self.ignore.excludes(plain) else "is it in the context?"
            )
            raise DockerfileError(f"{pattern} is not there to be copied", line, hint=hint)
        return found

    def _resolve(self, name: str) -> Found | None:
        if name and self.ignore.excludes(name) and not self._partly_there(name):
            return None
        try:
            root = os.open(self.root, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fd = open_in_root(root, name or "/", O_PATH)
            finally:
                os.close(root)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self._witness.give_up()  # a link that leads nowhere yet
                return None
            raise
        try:
            real = os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), os.path.realpath(self.root))
            found = Found("" if real == "." else real, name, os.fstat(fd))
            if found.path == name:
                self._witness.saw(f"{self.root}/{name}", found.status)
                for number, letter in enumerate(name):
                    if letter == "/":
                        self._witness.passed_through(f"{self.root}/{name[:number]}")
            else:
                self._witness.give_up()  # which links led there is not known
            return found
        finally:
            os.close(fd)

    def _partly_there(self, name: str) -> bool:
        """An excluded folder of which some files are taken back in."""
        if not self.ignore.has_exceptions or not os.path.isdir(f"{self.root}/{name}"):
            return False
        return any(True for _ in self.walk(name))

    def _glob(self, pattern: str) -> list[str]:
        parts, names = pattern.split("/"), [""]
        for number, part in enumerate(parts):
            expression = re.compile(translate(part) + r"\Z", re.DOTALL)
            found = []
            for base in names:
                if part == "**":
                    found += [base, *(p for p, s in self.walk(base) if stat.S_ISDIR(s.st_mode))]
                    continue
                resolved = self._resolve(base)
                if resolved is None:
                    continue
                try:
                    entries = sorted(os.listdir(f"{self.root}/{resolved.path}"))
                except (NotADirectoryError, FileNotFoundError):
                    continue
                found += [
                    name
                    for entry in entries
                    if expression.match(entry)
                    and (number + 1 < len(parts) or not self.ignore.excludes(f"{base}/{entry}".lstrip("/")))
                    for name in (f"{base}/{entry}".lstrip("/"),)
                ]
            names = found
        return names

    def walk(
        self, folder: str, exclude: Matcher | None = None, base: str | None = None
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Everything below a folder that is not hidden, parents first, in the order of names.

        `exclude` is about paths from `base` on, which is the folder where the walk began.
        """
        base = folder if base is None else base
        try:
            entries = sorted(os.scandir(f"{self.root}/{folder}"), key=lambda entry: entry.name)
        except (NotADirectoryError, FileNotFoundError):
            return
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            status = entry.stat(follow_symlinks=False)
            inner = path[len(base) + 1 :] if base else path
            hidden = self.ignore.excludes(path) or bool(exclude and exclude.excludes(inner))
            if not stat.S_ISDIR(status.st_mode):
                if not hidden:
                    self._witness.saw(f"{self.root}/{path}", status)
                    yield path, status
                continue
            reentered = self.ignore.has_exceptions or bool(exclude and exclude.has_exceptions)
            if hidden and not reentered:
                continue
            self._witness.saw(f"{self.root}/{path}", status)
            below = self.walk(path, exclude, base)
            if hidden:
                first = next(below, None)
                if first is None:
                    continue
                yield path, status
                yield first
            else:
                yield path, status
            yield from below

    def hash(self, sources: Sequence[Found], digests: FileDigests, exclude: Matcher | None = None) -> str:
        """A digest of names, kinds, modes, owners, links and content, but not of times."""
        total = sha256()
        for source in sources:
            total.update(self._entry(source.path, os.path.basename(source.name), source.status, digests))
            if stat.S_ISDIR(source.status.st_mode):
                start = len(source.path) + 1 if source.path else 0
                for path, status in self.walk(source.path, exclude):
                    total.update(self._entry(path, path[start:], status, digests))
        return total.hexdigest()

    def _entry(self, path: str, name: str, status: os.stat_result, digests: FileDigests) -> bytes:
        full = f"{self.root}/{path}"
        content = ""
        if stat.S_ISREG(status.st_mode):
            content = digests.digest(full, status)
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            content = str(status.st_rdev)
        owner = (status.st_uid, status.st_gid) if self.keep_owner else (0, 0)
        return f"{name}\0{status.st_mode:o}\0{owner}\0{content}\0".encode("utf-8", "surrogateescape")
