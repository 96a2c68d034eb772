"""Mounts of OCI containers: `init`'s with all options of the specification, and what only engines' bundles need."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.container import init
from runtime.container.child import Child
from runtime.container.oci_child import OciChild
from runtime.container.setup import SetupStep
from runtime.linux import constants as k
from runtime.linux import mounts, paths, syscalls

if TYPE_CHECKING:
    from runtime.linux.mounts import MountOptions

_OWN_NAMESPACE_ERRORS = (errno.EPERM, errno.EBUSY)


def _attach(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    options, number = step.value
    _place(child, step, child.trees[number], options)


def _bind(child: Child, step: SetupStep) -> None:
    options: MountOptions = step.value.options
    words = options.extensions
    if "copy-symlink" in words and os.path.islink(step.source):
        directory, _, name = step.target.rstrip("/").rpartition("/")
        parent = paths.ensure_directory(child.root_fd, directory or "/")
        try:
            os.symlink(os.readlink(step.source), name, dir_fd=parent)
        except FileExistsError:
            pass
        finally:
            os.close(parent)
        return
    flags = k.OPEN_TREE_CLONE | (k.AT_RECURSIVE if options.flags & k.MS_REC else 0)
    if "src-nofollow" in words:
        flags |= k.AT_SYMLINK_NOFOLLOW
    tree = syscalls.open_tree(k.AT_FDCWD, step.source, flags)
    try:
        _place(child, step, tree, options)
    finally:
        os.close(tree)


def _place(child: Child, step: SetupStep, tree: int, options: MountOptions) -> None:
    if "dest-nofollow" in options.extensions:
        target = _ensure_nofollow(child.root_fd, step.target, stat.S_ISDIR(os.fstat(tree).st_mode))
    else:
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        target = (paths.ensure_directory if is_directory else paths.ensure_file)(child.root_fd, step.target)
    try:
        mounts.place_tree(tree, target, options)
    finally:
        os.close(target)
    _follow_root(child, step.target)


def _ensure_nofollow(root_fd: int, path: str, is_directory: bool) -> int:
    directory, _, name = path.rstrip("/").rpartition("/")
    parent = paths.ensure_directory(root_fd, directory or "/")
    try:
        flags = paths.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, dir_fd=parent)
        except FileNotFoundError:
            if is_directory:
                os.mkdir(name, 0o755, dir_fd=parent)
            else:
                os.close(
                    os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent)
                )
            return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _follow_root(child: Child, target: str) -> None:
    """After a mount on "/" itself the root is what was mounted."""
    if target.strip("/") == "":
        assert isinstance(child, OciChild)
        os.close(child.root_fd)
        child.root_fd = paths.open_root(child.root_path)


def _mount(child: Child, step: SetupStep) -> None:
    """A new file system, with its content copied up where asked; from the host where the kernel forbids a new one."""
    fstype, options = step.value
    copied = -1
    if "tmpcopyup" in options.extensions and paths.exists_in_root(child.root_fd, step.target):
        copied = paths.open_in_root(child.root_fd, step.target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if copied >= 0 and "mode=" not in options.data:
            mode = stat.S_IMODE(os.fstat(copied).st_mode)
            options = options._replace(data=",".join(filter(None, (options.data, f"mode={mode:o}"))))
        late = k.MS_RDONLY if copied >= 0 and options.flags & k.MS_RDONLY else 0
        try:
            init.OPERATIONS["mount"](
                child, step._replace(value=(fstype, options._replace(flags=options.flags & ~late)))
            )
        except OSError as error:
            if error.errno not in _OWN_NAMESPACE_ERRORS or fstype not in ("sysfs", "mqueue", "proc"):
                raise
            # A user namespace that does not own the network, ipc or pid namespace: the host's is shown instead.
            host = {"sysfs": "/sys", "mqueue": "/dev/mqueue", "proc": "/proc"}[fstype]
            tree = syscalls.open_tree(k.AT_FDCWD, host, k.OPEN_TREE_CLONE | k.AT_RECURSIVE)
            try:
                _place(
                    child, step, tree, options._replace(tree_set=mounts.attributes(options.flags), flags=0)
                )
            finally:
                os.close(tree)
            return
        _follow_root(child, step.target)
        if copied >= 0:
            _copy_up(child, step, copied, late)
        if options.tree_set or options.tree_clear:
            target = paths.open_in_root(child.root_fd, step.target, paths.O_PATH)
            try:
                syscalls.mount_setattr(
                    target,
                    "",
                    k.AT_EMPTY_PATH | k.AT_RECURSIVE,
                    attr_set=options.tree_set,
                    attr_clr=options.tree_clear,
                )
            finally:
                os.close(target)
    finally:
        if copied >= 0:
            os.close(copied)


def _copy_up(child: Child, step: SetupStep, source: int, late_flags: int) -> None:
    from runtime.container.copy_up import copy_tree

    target = paths.open_in_root(child.root_fd, step.target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        copy_tree(source, target)
        if late_flags:
            syscalls.mount_setattr(target, "", k.AT_EMPTY_PATH, attr_set=mounts.attributes(late_flags))
    finally:
        os.close(target)


def _remount(child: Child, step: SetupStep) -> None:
    """Other options for what is mounted there already."""
    options: MountOptions = step.value.options
    target = paths.open_in_root(child.root_fd, step.target, paths.O_PATH)
    try:
        if options.flags & k.MS_BIND:
            wanted = mounts.attributes(options.flags)
            clear = mounts.attributes(options.cleared) & ~wanted
            syscalls.mount_setattr(target, "", k.AT_EMPTY_PATH, attr_set=wanted, attr_clr=clear)
        else:
            syscalls.mount(None, paths.mount_path(target), None, options.flags, options.data or None)
    finally:
        os.close(target)


def _mount_cgroups(child: Child, step: SetupStep) -> None:
    """With a cgroup namespace the hierarchies are mounted; else, or where that is forbidden, only our own part."""
    options, hierarchies, own_namespace = step.value
    if own_namespace:
        layout = tuple((name, kind, data) for name, kind, data, _ in hierarchies)
        try:
            init.OPERATIONS["mount cgroups on"](child, step._replace(value=(options, layout)))
            return
        except OSError as error:
            if error.errno not in _OWN_NAMESPACE_ERRORS:
                raise
    flags = options._replace(flags=options.flags & ~(k.MS_RDONLY | k.MS_REC))
    single = len(hierarchies) == 1 and not hierarchies[0][0]
    if single:
        _bind_directory(child, hierarchies[0][3], step.target, flags)
    else:
        target = paths.ensure_directory(child.root_fd, step.target)
        try:
            syscalls.mount("tmpfs", paths.mount_path(target), "tmpfs", flags.flags, "mode=755")
        finally:
            os.close(target)
        for name, _, _, directory in hierarchies:
            if name:
                _bind_directory(child, directory, f"{step.target}/{name}", flags)
    if options.flags & k.MS_RDONLY:
        target = paths.open_in_root(child.root_fd, step.target, paths.O_PATH)
        try:
            syscalls.mount_setattr(target, "", k.AT_EMPTY_PATH | k.AT_RECURSIVE, attr_set=k.MOUNT_ATTR_RDONLY)
        finally:
            os.close(target)


def _bind_directory(child: Child, source: str, target: str, options: MountOptions) -> None:
    tree = syscalls.open_tree(k.AT_FDCWD, source, k.OPEN_TREE_CLONE)
    try:
        _place(child, SetupStep("bind", target, source), tree, options)
    finally:
        os.close(tree)


def _bind_device(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    _, number = step.value
    _place(child, step, child.trees[number], mounts.MountOptions())


OPERATIONS: dict[str, Callable[[Child, SetupStep], None]] = {
    "attach": _attach,
    "bind": _bind,
    "mount": _mount,
    "remount": _remount,
    "mount cgroups on": _mount_cgroups,
    "bind device": _bind_device,
}
