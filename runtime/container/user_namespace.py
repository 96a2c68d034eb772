"""User namespaces: writing id maps, and a namespace made only for its maps (idmapped mounts want one)."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.errors import StartError
from runtime.linux import constants as k
from runtime.linux import syscalls

if TYPE_CHECKING:
    from runtime.oci.spec import Device, Spec
    from runtime.oci.spec_extra import IdMapping


def write_maps(pid: int, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> None:
    """Give a process's new user namespace its ids (user_namespaces(7)). Raises OSError with the file's path.

    Without privilege setgroups(2) has to be given up first.
    """
    if os.geteuid() != 0:
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/gid_map", map_text(gids))
    _write(f"/proc/{pid}/uid_map", map_text(uids))


def map_ids(pid: int, spec: Spec) -> None:
    """Give a container's first process its ids: those of the configuration, or its own as the caller's.

    Raises StartError.
    """
    linux, user = spec["linux"], spec["process"]["user"]
    uids = linux.get("uidMappings") or [_single(user["uid"], os.geteuid())]
    gids = linux.get("gidMappings") or [_single(user["gid"], os.getegid())]
    try:
        write_maps(pid, uids, gids)
    except OSError as error:
        raise StartError(
            f"could not write {error.filename}: {error.strerror}",
            step="map ids",
            errno=error.errno or 0,
            hint="mappings must not overlap, and the ids must exist in the caller's user namespace",
        ) from None


def _single(inside: int, outside: int) -> IdMapping:
    return {"containerID": inside, "hostID": outside, "size": 1}


def map_text(mappings: Sequence[IdMapping]) -> str:
    """Mappings as the kernel reads them: "inside outside size" lines."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)


def open_mapped(uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> int:
    """A descriptor of a user namespace with these maps, which no process is in. Raises OSError."""
    with _holder(k.CLONE_NEWUSER, uids, gids) as pid:
        return _open_namespace(pid, "user")


def open_mapped_network(uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> tuple[int, int]:
    """The same, and one of a network namespace that belongs to it. Raises OSError."""
    with _holder(k.CLONE_NEWUSER | k.CLONE_NEWNET, uids, gids) as pid:
        user = _open_namespace(pid, "user")
        try:
            return user, _open_namespace(pid, "net")
        except BaseException:
            os.close(user)
            raise


def _open_namespace(pid: int, name: str) -> int:
    return os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _holder(flags: int, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> Iterator[int]:
    """A process in new namespaces, for as long as it takes to open them."""
    pid, pidfd = syscalls.clone3(flags)
    if pid == 0:
        try:
            syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.pause()
        finally:
            os._exit(0)
    try:
        write_maps(pid, uids, gids)
        yield pid
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)


def make_device_trees(
    folder: str, devices: Sequence[Device], uids: Sequence[IdMapping], gids: Sequence[IdMapping]
) -> list[int]:
    """Nodes made in `folder` by who may make them, as detached mounts to be attached in a user namespace.

    Where even we may not (no CAP_MKNOD), the host's node of the same path. Raises OSError.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    trees: list[int] = []
    try:
        for number, device in enumerate(devices):
            path = _make_node(f"{folder}/{number}", device, uids, gids)
            tree = syscalls.open_tree(k.AT_FDCWD, path, k.OPEN_TREE_CLONE)
            trees.append(tree)
            quiet = k.MOUNT_ATTR_NOSUID | k.MOUNT_ATTR_NOEXEC
            syscalls.mount_setattr(tree, "", k.AT_EMPTY_PATH, attr_set=quiet, attr_clr=k.MOUNT_ATTR_NODEV)
    except BaseException:
        for fd in trees:
            os.close(fd)
        raise
    return trees


def _make_node(path: str, device: Device, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> str:
    kind = {"b": stat.S_IFBLK, "p": stat.S_IFIFO}.get(device["type"], stat.S_IFCHR)
    mode = device.get("fileMode", 0o666)
    try:
        os.mknod(path, kind | mode, os.makedev(device.get("major", 0), device.get("minor", 0)))
    except PermissionError:
        return device["path"]
    os.chmod(path, mode)
    os.chown(path, _outside(device.get("uid", 0), uids), _outside(device.get("gid", 0), gids))
    return path


def _outside(inside: int, mappings: Sequence[IdMapping]) -> int:
    """The host's id of a container's, -1 (unchanged) where there is none."""
    for mapping in mappings:
        if mapping["containerID"] <= inside < mapping["containerID"] + mapping["size"]:
            return mapping["hostID"] + inside - mapping["containerID"]
    return -1


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)
