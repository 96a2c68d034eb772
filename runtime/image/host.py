"""The image `host:/`: the host's own programs as a root file system that is copied on write, without its
secrets.

    DATA/host/KEY/root    the skeleton: bin, sbin, lib* as on the host, mount points, empty home, root,
    run, tmp, ...,
                          and /var as a tree of empty directories
    DATA/host/KEY/etc     the mask of /etc: a whiteout for everything that is secret or not for all to read
    DATA/host/current     which KEY holds, and what it was made from

Over the skeleton lie overlays of /usr, /opt and /etc (DESIGN 3.6). A KEY never changes once it is there,
since running containers have it as their lowest layer. This module is on the start path: as long as no
directory of /etc or /var changed, it only asks for their times, and at most once a minute looks at every
file of /etc.
"""

import fnmatch
import json
import os
import stat
import time
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import NamedTuple

from runtime.errors import InvalidError, NotFoundError, UnsupportedError
from runtime.image.store import ResolvedImage
from runtime.oci.image_config import ImageConfig
from runtime.store.paths import Paths

REFERENCE = "host:/"
_VERSION = 1
_RECHECK_SECONDS = 60.0
_VAR_DEPTH = 3
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_OVERLAID = ("/usr", "/opt", "/etc")
_EMPTY = {
    "home": 0o755,
    "root": 0o700,
    "run": 0o755,
    "srv": 0o755,
    "mnt": 0o755,
    "media": 0o755,
    "tmp": 0o1777,
}
_MOUNT_POINTS = {"proc": 0o555, "sys": 0o555, "dev": 0o755, "usr": 0o755, "opt": 0o755, "etc": 0o755}
# Secret whatever their mode says; patterns of paths below /etc.
_SECRET = (
    "shadow",
    "gshadow",
    "*-",
    "sudoers",
    "sudoers.d",
    "ssh/ssh_host_*",
    "ssl/private",
    "machine-id",
    "krb5.keytab",
    "letsencrypt/archive",
    "letsencrypt/live",
    "wireguard",
    "docker/key.json",
)


class _Fact(NamedTuple):
    """One thing that the skeleton or the mask is made of; `path` is absolute on the host."""

    # "link" and "dir" of the skeleton, "mask" (a whiteout), "maskdir" (a directory with whiteouts in it)
    kind: str
    path: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    target: str = ""


def resolve_host(paths: Paths) -> ResolvedImage:
    """`host:/` as it is now; builds the skeleton where something has changed.

    Raises OSError, UnsupportedError, InvalidError for a data directory that the image would contain.
    """
    for root in _OVERLAID:
        if paths.data.startswith(f"{root}/"):
            raise InvalidError(
                f"host:/ shows {root}, and with it the data directory {paths.data}",
                hint="keep the data elsewhere (--root), such as /var/lib/pycompose",
            )
    key = _current_key(paths)
    if not key:
        key = _build(paths)
    base = f"{paths.host}/{key}"
    with open(f"{base}/overlaid") as file:
        overlaid = tuple(file.read().split("\n"))
    return ResolvedImage(
        REFERENCE, f"host:{key}", ImageConfig(), (f"{base}/root", f"{base}/etc", *overlaid), "host"
    )


def resolve_rootfs(reference: str) -> ResolvedImage:
    """`rootfs:/path`: a directory of the host as an image. Raises NotFoundError."""
    path = reference.removeprefix("rootfs:")
    if not path.startswith("/") or not os.path.isdir(path):
        raise NotFoundError(
            f"image {reference}: {path or 'the path'} is not a directory",
            hint="write rootfs: and the absolute path of an unpacked root file system",
        )
    path = os.path.realpath(path)
    return ResolvedImage(reference, f"rootfs:{path}", ImageConfig(), (path,), "rootfs")


def prune_host(paths: Paths, used_ids: Collection[str]) -> list[str]:
    """Moves skeletons that neither hold now nor are used (ids "host:KEY") into the trash; returns their
    keys.
    """
    current = _read_record(paths).get("key", "")
    gone = []
    for key in os.listdir(paths.host) if os.path.isdir(paths.host) else []:
        if len(key) != 16 or key == current or f"host:{key}" in used_ids:
            continue
        os.makedirs(paths.trash, mode=0o700, exist_ok=True)
        os.rename(f"{paths.host}/{key}", f"{paths.trash}/host-{key}-{os.urandom(4).hex()}")
        gone.append(key)
    return gone


def _read_record(paths: Paths) -> dict[str, object]:
    try:
        with open(f"{paths.host}/current") as file:
            record = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and record.get("v") == _VERSION else {}


def _current_key(paths: Paths) -> str:
    """The key that still holds, "" if all has to be looked at."""
    record = _read_record(paths)
    directories, key, checked = record.get("directories"), record.get("key"), record.get("checked")
    if not isinstance(directories, list) or not isinstance(key, str) or not isinstance(checked, float):
        return ""
    # A file's mode can change without its directory noticing.
    if not 0 <= time.time() - checked < _RECHECK_SECONDS or record.get("stamp") != _stamp(directories):
        return ""
    return key if os.path.isdir(f"{paths.host}/{key}") else ""


def _stamp(directories: Iterable[str]) -> str:
    """A hash of the directories' times: it changes when a name in one of them or its own mode does."""
    words = []
    for path in directories:
        try:
            status = os.lstat(path)
        except OSError:
            words.append("-")
            continue
        words.append(f"{status.st_ino}.{status.st_ctime_ns}")
    return sha256(" ".join(words).encode()).hexdigest()


def _build(paths: Paths) -> str:
    """Looks at everything, makes the skeleton if there is none for what it finds, and writes it down."""
    facts: list[_Fact] = []
    directories = ["/"]
    overlaid = [path for path in _OVERLAID if os.path.isdir(path)]
    overlaid += _scan_top(facts)
    _scan_var(facts, directories, "/var", _VAR_DEPTH, avoid=paths.data)
    _scan_etc(facts, directories, "/etc", "")
    # Only what was there before the look may be trusted: the times are taken first of all next time.
    stamp = _stamp(directories)
    text = json.dumps([_VERSION, overlaid, facts])
    key = sha256(text.encode()).hexdigest()[:16]
    if not os.path.isdir(f"{paths.host}/{key}"):
        _write_skeleton(paths, key, facts, overlaid)
    record = {"v": _VERSION, "key": key, "stamp": stamp, "checked": time.time(), "directories": directories}
    temporary = f"{paths.host}/current.{os.getpid()}"
    with open(temporary, "w") as file:
        file.write(json.dumps(record))
    os.rename(temporary, f"{paths.host}/current")
    return key


def _scan_top(facts: list[_Fact]) -> list[str]:
    """The links of a merged /usr; where one of them is a directory of its own it is laid over like /usr."""
    directories = []
    for name in _TOP:
        path = f"/{name}"
        if os.path.islink(path):
            facts.append(_Fact("link", path, target=os.readlink(path)))
        elif os.path.isdir(path):
            directories.append(path)
            facts.append(_Fact("dir", path, 0o755))
    return directories


def _scan_var(facts: list[_Fact], directories: list[str], path: str, depth: int, avoid: str) -> None:
    """Directories with owners and modes, links, and no files; our own data directory stays empty."""
    status = os.lstat(path)
    facts.append(_Fact("dir", path, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid))
    if depth == 0 or path == avoid:
        return
    directories.append(path)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_symlink():
                facts.append(_Fact("link", entry.path, target=os.readlink(entry.path)))
            elif entry.is_dir(follow_symlinks=False):
                _scan_var(facts, directories, entry.path, depth - 1, avoid)
        except FileNotFoundError:  # gone between listing and looking
            continue


def _scan_etc(facts: list[_Fact], directories: list[str], path: str, relative: str) -> bool:
    """Collects what is masked below a directory; whether there was any."""
    directories.append(path)
    found = False
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        below = f"{relative}/{entry.name}" if relative else entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if _is_secret(below, status):
            facts.append(_Fact("mask", entry.path))
            found = True
        elif stat.S_ISDIR(status.st_mode):
            at = len(facts)
            if _scan_etc(facts, directories, entry.path, below):
                mode = stat.S_IMODE(status.st_mode)
                facts.insert(at, _Fact("maskdir", entry.path, mode, status.st_uid, status.st_gid))
                found = True
    return found


def _is_secret(relative: str, status: os.stat_result) -> bool:
    """Root in a container may read what others may not, so what is not for all is for nobody there."""
    if any(fnmatch.fnmatchcase(relative, pattern) for pattern in _SECRET):
        return True
    if stat.S_ISDIR(status.st_mode):
        return status.st_mode & 0o005 != 0o005
    return not stat.S_ISLNK(status.st_mode) and not status.st_mode & 0o004


def _write_skeleton(paths: Paths, key: str, facts: list[_Fact], overlaid: list[str]) -> None:
    os.makedirs(paths.host, mode=0o700, exist_ok=True)
    temporary = f"{paths.host}/.new-{os.getpid()}-{os.urandom(4).hex()}"
    os.mkdir(temporary, 0o700)
    try:
        _fill_root(f"{temporary}/root", facts)
        _fill_etc(f"{temporary}/etc", facts)
        with open(f"{temporary}/overlaid", "w") as file:
            file.write("\n".join(overlaid))
        os.rename(temporary, f"{paths.host}/{key}")
    except BaseException as error:
        import shutil  # only for cleaning up after a failure, which is no time to be quick

        shutil.rmtree(temporary, ignore_errors=True)
        if not isinstance(error, OSError) or not os.path.isdir(f"{paths.host}/{key}"):
            raise  # otherwise somebody else made the same at the same moment


def _fill_root(root: str, facts: list[_Fact]) -> None:
    os.mkdir(root, 0o755)
    for name, mode in (*_EMPTY.items(), *_MOUNT_POINTS.items()):
        _make_directory(f"{root}/{name}", mode, 0, 0)
    for fact in facts:
        if fact.kind == "link":
            os.symlink(fact.target, root + fact.path)
        elif fact.kind == "dir":
            _make_directory(root + fact.path, fact.mode, fact.uid, fact.gid)
    # A layer's root gives the container's root its mode, whatever the umask was.
    os.chmod(root, 0o755)


def _fill_etc(mask: str, facts: list[_Fact]) -> None:
    like = os.stat("/etc")
    _make_directory(mask, stat.S_IMODE(like.st_mode), like.st_uid, like.st_gid)
    for fact in facts:
        if fact.kind == "maskdir":
            _make_directory(mask + fact.path[4:], fact.mode, fact.uid, fact.gid)
        elif fact.kind == "mask":
            try:
                os.mknod(mask + fact.path[4:], stat.S_IFCHR, 0)
            except PermissionError as error:
                raise UnsupportedError(
                    "a whiteout can't be made in the data directory",
                    hint="host:/ needs mknod(2) there; is it mounted nodev, or is CAP_MKNOD missing?",
                ) from error


def _make_directory(path: str, mode: int, uid: int, gid: int) -> None:
    os.mkdir(path, 0o700)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
