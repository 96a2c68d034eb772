"""Carries out the set-up steps of a container's root filesystem and names, in the new child.

Every path before the pivot is opened beneath the root by openat2; after it the process's root is the container's.
No descriptor of a host directory is left open when the steps are through.
"""

import errno
import os
import stat
from collections.abc import Callable

from runtime.container import console, identity
from runtime.container.child import Child
from runtime.container.setup import SetupStep
from runtime.linux import constants as k
from runtime.linux import mounts, paths, syscalls

_DEVICE_TYPES = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def _set_propagation(child: Child, step: SetupStep) -> None:
    syscalls.mount(None, "/", None, step.value, None)


def _hold_tree(child: Child, step: SetupStep) -> None:
    child.held[step.target] = syscalls.open_tree(k.AT_FDCWD, step.target, k.OPEN_TREE_CLONE | k.AT_RECURSIVE)


def _label_program(child: Child, step: SetupStep) -> None:
    """What a security module is to call the program (apparmor(7), /proc/self/attr/exec)."""
    own = f"/proc/self/attr/{step.target}/exec"
    path = own if os.path.exists(own) else "/proc/self/attr/exec"
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, step.value.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({step.target} does not know it)", step.value) from None
    finally:
        os.close(fd)


def _open_root(child: Child, step: SetupStep) -> None:
    # pivot_root wants a mount point whose parent is not shared; a bind onto itself is one in any case.
    syscalls.mount(step.target, step.target, None, k.MS_BIND | k.MS_REC, None)
    child.root_fd = paths.open_root(step.target)


def _bind(child: Child, step: SetupStep) -> None:
    options = step.value.options
    recursive = k.AT_RECURSIVE if options.flags & k.MS_REC else 0
    tree = child.held.pop(step.source, -1)
    if tree < 0:
        tree = syscalls.open_tree(k.AT_FDCWD, step.source, k.OPEN_TREE_CLONE | recursive)
    try:
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        ensure = paths.ensure_directory if is_directory else paths.ensure_file
        target = ensure(child.root_fd, step.target)
        try:
            mounts.place_tree(tree, target, options)
        finally:
            os.close(target)
    finally:
        os.close(tree)


def _mount(child: Child, step: SetupStep) -> None:
    fstype, options = step.value
    data = options.data
    if fstype == "tmpfs" and "mode=" not in data and paths.exists_in_root(child.root_fd, step.target):
        # A tmpfs over a directory of the image keeps that directory's mode (/tmp 1777, /run 755).
        mode = _mode_in_root(child.root_fd, step.target)
        data = f"{data},mode={mode:o}" if data else f"mode={mode:o}"
    target = paths.ensure_directory(child.root_fd, step.target)
    try:
        syscalls.mount(step.source, paths.mount_path(target), fstype, options.flags, data or None)
    except OSError as error:
        raise OSError(error.errno, error.strerror, step.target) from None
    finally:
        os.close(target)
    if options.propagation:
        mounted = paths.ensure_directory(child.root_fd, step.target)
        try:
            syscalls.mount(None, paths.mount_path(mounted), None, options.propagation, None)
        finally:
            os.close(mounted)


def _mode_in_root(root_fd: int, path: str) -> int:
    fd = paths.open_in_root(root_fd, path, paths.O_PATH)
    try:
        return stat.S_IMODE(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _mount_cgroups(child: Child, step: SetupStep) -> None:
    options, layout = step.value
    flags = options.flags & ~(k.MS_RDONLY | k.MS_BIND | k.MS_REC)
    single = len(layout) == 1 and not layout[0][0]
    target = paths.ensure_directory(child.root_fd, step.target)
    try:
        kind, data = (layout[0][1], layout[0][2] or None) if single else ("tmpfs", "mode=755")
        syscalls.mount(kind, paths.mount_path(target), kind, flags, data)
    finally:
        os.close(target)
    target = paths.open_in_root(child.root_fd, step.target, paths.O_PATH | os.O_DIRECTORY)
    try:
        for name, kind, data in () if single else layout:
            os.mkdir(name, 0o755, dir_fd=target)
            syscalls.mount(kind, f"{paths.mount_path(target)}/{name}", kind, flags, data or None)
        if options.flags & k.MS_RDONLY:
            # Set on the mounts and not when mounting: the file systems behind them are shared.
            syscalls.mount_setattr(target, "", k.AT_EMPTY_PATH | k.AT_RECURSIVE, attr_set=k.MOUNT_ATTR_RDONLY)
    finally:
        os.close(target)


def _make_device(child: Child, step: SetupStep) -> None:
    device = step.value
    directory, _, name = step.target.rstrip("/").rpartition("/")
    parent = paths.ensure_directory(child.root_fd, directory or "/")
    try:
        kind = _DEVICE_TYPES[device["type"]]
        number = os.makedev(device.get("major", 0), device.get("minor", 0))
        mode = device.get("fileMode", 0o666)
        try:
            os.mknod(name, kind | mode, number, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
                raise
        uid, gid = device.get("uid", 0), device.get("gid", 0)
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


def _link(child: Child, step: SetupStep) -> None:
    directory, _, name = step.target.rpartition("/")
    parent = paths.ensure_directory(child.root_fd, directory)
    try:
        os.symlink(step.source, name, dir_fd=parent)
    except FileExistsError:
        # /dev may be a volume that already has it; another link there is its owner's choice.
        pass
    finally:
        os.close(parent)


def _change_root(child: Child, step: SetupStep) -> None:
    # pivot_root(2), "pivot_root(".", ".")": the old root lands on top of the new one and is detached from there.
    old = os.open("/", paths.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(child.root_fd)
    os.close(child.root_fd)
    child.root_fd = -1
    syscalls.pivot_root(".", ".")
    os.fchdir(old)
    os.close(old)
    # Where mounts are shared with the host, their end here must not be their end there.
    syscalls.mount(None, ".", None, k.MS_REC | k.MS_SLAVE, None)
    syscalls.umount2(".", k.MNT_DETACH)
    os.chdir("/")


def _set_host_name(child: Child, step: SetupStep) -> None:
    syscalls.sethostname(step.target)


def _set_domain_name(child: Child, step: SetupStep) -> None:
    syscalls.setdomainname(step.target)


def _set_sysctl(child: Child, step: SetupStep) -> None:
    fd = os.open(paths.sysctl_path(step.target), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, step.value.encode())
    finally:
        os.close(fd)


def _make_working_directory(child: Child, step: SetupStep) -> None:
    previous = os.umask(0o022)  # parents would get mode 0777
    try:
        os.makedirs(step.target, exist_ok=True)
    finally:
        os.umask(previous)


def _make_read_only(child: Child, step: SetupStep) -> None:
    try:
        mounts.make_read_only(step.target)
    except FileNotFoundError:
        pass  # not every kernel has every file of /proc


def _mask(child: Child, step: SetupStep) -> None:
    try:
        found = os.open(step.target, paths.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if stat.S_ISDIR(os.fstat(found).st_mode):
            syscalls.mount("tmpfs", step.target, "tmpfs", k.MS_RDONLY, "size=0k")
        else:
            _mask_file(found)
    finally:
        os.close(found)


def _mask_file(target: int) -> None:
    tree = syscalls.open_tree(k.AT_FDCWD, "/dev/null", k.OPEN_TREE_CLONE)
    try:
        if os.fstat(tree).st_rdev != os.makedev(1, 3):
            raise OSError(errno.EPERM, "is not the null device", "/dev/null")
        syscalls.move_mount(tree, "", target, "", k.MOVE_MOUNT_F_EMPTY_PATH | k.MOVE_MOUNT_T_EMPTY_PATH)
    finally:
        os.close(tree)


def _make_root_read_only(child: Child, step: SetupStep) -> None:
    syscalls.mount_setattr(k.AT_FDCWD, "/", 0, attr_set=k.MOUNT_ATTR_RDONLY)


OPERATIONS: dict[str, Callable[[Child, SetupStep], None]] = {
    **identity.OPERATIONS,
    "set propagation of": _set_propagation,
    "hold tree": _hold_tree,
    "label program": _label_program,
    "open root": _open_root,
    "bind": _bind,
    "mount": _mount,
    "mount cgroups on": _mount_cgroups,
    "make device": _make_device,
    "link": _link,
    "change root to": _change_root,
    "set host name": _set_host_name,
    "set domain name": _set_domain_name,
    "set sysctl": _set_sysctl,
    "open console": console.open_console,
    "make working directory": _make_working_directory,
    "make read-only": _make_read_only,
    "mask": _mask,
    "make root read-only": _make_root_read_only,
}
