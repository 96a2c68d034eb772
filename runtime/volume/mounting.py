"""Mounts a volume that has driver_opts over its folder, in the caller's mount namespace.

The mount is one for all containers that use the volume at the same time, as it would be with a daemon: whoever comes
later takes it from the namespace of one that has it (a tmpfs is then the same tmpfs). It ends with the last of them,
because nothing but their namespaces holds it. Who has it stands in STATE/volumes/NAME, kept under the volume's lock.
"""

import errno
import json
import os

from runtime.errors import StartError
from runtime.linux import constants as k
from runtime.linux import mounts, paths, syscalls
from runtime.linux.borrowing import borrow_tree
from runtime.store.files import read_json, write_json
from runtime.store.locks import is_locked
from runtime.store.paths import Paths
from runtime.volume.options import VolumeMount, mount_data

_HINTS = {
    errno.ENODEV: "the kernel does not know this file system: load its module",
    errno.ENOENT: "the device is not there",
    errno.EINVAL: "an option or a server's answer is wrong; `dmesg` often tells which",
    errno.ECONNREFUSED: "the server does not answer",
    errno.ETIMEDOUT: "the server does not answer",
}


def mount_volume(roots: Paths, name: str, folder: str, mount: VolumeMount, container_id: str) -> None:
    """Mount at `folder`, for a container. The caller holds the volume's lock. Raises StartError."""
    users = _load_users(roots, name)
    others = () if mount.is_bind else users
    tree = next((tree for user in others if (tree := _tree_of(roots, user, folder)) >= 0), -1)
    try:
        if tree >= 0:
            _attach(tree, folder)
        elif mount.is_bind:
            _bind(mount, folder)
        else:
            flags = mount.options.flags
            syscalls.mount(mount.device, folder, mount.fstype, flags, mount_data(mount) or None)
    except OSError as error:
        raise StartError(
            f"cannot mount volume {name} ({mount.fstype} {mount.device}): {error.strerror or error}",
            step="mount volume",
            errno=error.errno or 0,
            hint=_HINTS.get(error.errno or 0, "look at its driver_opts"),
        ) from error
    finally:
        if tree >= 0:
            os.close(tree)
    os.makedirs(f"{roots.state}/volumes", mode=0o700, exist_ok=True)
    write_json(_users_file(roots, name), {"users": [*users, container_id]}, durable=False)


def _users_file(roots: Paths, name: str) -> str:
    return f"{roots.state}/volumes/{name}"


def _load_users(roots: Paths, name: str) -> list[str]:
    """Those containers that have it and still live."""
    known = (read_json(_users_file(roots, name)) or {}).get("users", [])
    return [user for user in known if is_locked(f"{roots.live(user)}/lock")]


def _tree_of(roots: Paths, container_id: str, folder: str) -> int:
    """The volume's mount of a running container, detached; -1 if it has ended or has none."""
    try:
        with open(f"{roots.live(container_id)}/state.json", encoding="utf-8") as file:
            shim = int(json.load(file)["shim_pid"])
        return borrow_tree(shim, folder)
    except (OSError, ValueError, KeyError):
        return -1


def _attach(tree: int, folder: str) -> None:
    target = os.open(folder, paths.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.move_mount(tree, "", target, "", k.MOVE_MOUNT_F_EMPTY_PATH | k.MOVE_MOUNT_T_EMPTY_PATH)
    finally:
        os.close(target)


def _bind(mount: VolumeMount, folder: str) -> None:
    if not os.path.isdir(mount.device):
        number = errno.ENOTDIR if os.path.lexists(mount.device) else errno.ENOENT
        raise OSError(number, os.strerror(number), mount.device)
    target = os.open(folder, paths.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.bind(mount.device, target, mount.options)
    finally:
        os.close(target)
