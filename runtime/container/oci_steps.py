"""Carries out the steps that only containers of the OCI command need (planned by `oci_setup`)."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.container import init, sync
from runtime.container.child import Child, find_program
from runtime.container.setup import SetupStep
from runtime.linux import constants as k
from runtime.linux import mounts, paths, syscalls

if TYPE_CHECKING:
    from runtime.linux.mounts import MountOptions

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_OWN_NAMESPACE_ERRORS = (errno.EPERM, errno.EBUSY)


class OciChild(Child):
    """What an OCI container's child has beside a Child: trees opened beforehand and label files."""

    __slots__ = ("apparmor_fd", "hooks", "proc_fd", "root_path", "selinux_fd", "trees")

    def __init__(self, last_capability: int) -> None:
        super().__init__(last_capability)
        self.trees: tuple[int, ...] = ()
        self.root_path = ""
        self.proc_fd = -1  # the host's /proc, where the process is not among the host's mounts
        self.apparmor_fd = -1
        self.selinux_fd = -1
        self.hooks: Callable[[], None] | None = None


# ---- before the root is changed


def _open_labels(child: Child, step: SetupStep) -> None:
    """While /proc is the host's for sure: written through the container's a label could go anywhere."""
    assert isinstance(child, OciChild)
    proc = os.dup(child.proc_fd) if child.proc_fd >= 0 else os.open("/proc", paths.O_PATH | os.O_CLOEXEC)
    try:
        child.apparmor_fd = _open_first(proc, "self/attr/apparmor/exec", "self/attr/exec")
        child.selinux_fd = _open_first(proc, "self/attr/exec")
    finally:
        os.close(proc)


def _open_first(proc: int, *candidates: str) -> int:
    for path in candidates:
        try:
            return os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        except OSError:
            continue
    return -1


def take_root(child: Child, step: SetupStep) -> None:
    """Become the user namespace's root, or whatever id it has a map for; supplementary groups of the host go."""
    try:
        os.setgroups([])
    except PermissionError:
        pass  # setgroups is denied where an unprivileged process has written the maps
    for change in (os.setresgid, os.setresuid):
        try:
            change(0, 0, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: 0 has no map
                raise
    syscalls.prctl(k.PR_SET_DUMPABLE, 0)


def _run_hooks(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    sync.send_ready_for_hooks(child.channel_fd)
    if os.read(child.channel_fd, 1) != sync.GO:
        os._exit(1)
    if child.hooks is not None:
        child.hooks()


def _move_root(child: Child, step: SetupStep) -> None:
    """--no-pivot, for a root on a ramfs: the new root is moved over the old one, which stays below it."""
    os.fchdir(child.root_fd)
    os.close(child.root_fd)
    child.root_fd = -1
    syscalls.mount(".", "/", None, k.MS_MOVE, None)
    os.chroot(".")
    os.chdir("/")


# ---- mounts


def _bind_prepared(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    options, number = step.value
    _place(child, step, child.trees[number], options)


def _bind_specially(child: Child, step: SetupStep) -> None:
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


def _mount_specially(child: Child, step: SetupStep) -> None:
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


def _show_cgroups(child: Child, step: SetupStep) -> None:
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
    """In a user namespace nobody may make device nodes: the host's is bound."""
    device = step.value
    if device["type"] == "p":
        init.OPERATIONS["make device"](child, step)
        return
    tree = syscalls.open_tree(k.AT_FDCWD, step.target, k.OPEN_TREE_CLONE)
    try:
        found = os.fstat(tree)
        if found.st_rdev != os.makedev(device.get("major", 0), device.get("minor", 0)):
            raise OSError(errno.ENODEV, "the host's node is another device", step.target)
        _place(child, step, tree, mounts.MountOptions())
    finally:
        os.close(tree)


# ---- after the root is changed


def _set_checked_sysctl(child: Child, step: SetupStep) -> None:
    """Through a /proc that is one: an image may have put something else there."""
    path = "/proc/sys/" + step.target.translate({ord("."): "/", ord("/"): "."})
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if syscalls.fstatfs_type(fd) != k.PROC_SUPER_MAGIC:
            raise OSError(errno.EPERM, "is not a file of procfs", path)
        os.write(fd, step.value.encode())
    finally:
        os.close(fd)


def _find_program(child: Child, step: SetupStep) -> None:
    """At `create` already, so that an engine hears of a wrong command before it has set everything up."""
    try:
        path = find_program(step.target, step.value)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, "executable file not found in $PATH", step.target) from None
    except PermissionError:
        raise OSError(errno.EACCES, "permission denied", step.target) from None
    if "/" in step.target:
        if not os.path.exists(path):
            raise OSError(errno.ENOENT, "no such file or directory", step.target)
        if os.path.isdir(path) or not os.access(path, os.X_OK, effective_ids=True):
            raise OSError(errno.EACCES, "permission denied", step.target)


# ---- who the process is


def _own_stdio(child: Child, step: SetupStep) -> None:
    """As for the shim's containers, but engines make the streams for this container: the group is its own too."""
    uid, gid = step.value
    for fd in (0, 1, 2):
        found = os.fstat(fd)
        null = stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)
        if null or (found.st_uid, found.st_gid) == (uid, gid) or stat.S_ISREG(found.st_mode):
            continue
        try:
            os.fchown(fd, uid, gid)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
                raise


def _bring_up_loopback(child: Child, step: SetupStep) -> None:
    """netdevice(7): SIOCGIFFLAGS, SIOCSIFFLAGS. A network namespace is made with its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", request, 16)[0]
        struct.pack_into("H", request, 16, flags | _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


def _set_scheduler(child: Child, step: SetupStep) -> None:
    policy, flags, nice, priority, runtime, deadline, period = step.value
    syscalls.sched_setattr(
        struct.pack("=IIQiIQQQ", 48, policy, flags, nice, priority, runtime, deadline, period)
    )


def _set_io_priority(child: Child, step: SetupStep) -> None:
    syscalls.ioprio_set(step.value)


def _set_personality(child: Child, step: SetupStep) -> None:
    syscalls.personality(step.value)


def _set_memory_policy(child: Child, step: SetupStep) -> None:
    syscalls.set_mempolicy(*step.value)


def _set_apparmor(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    _write_label(child.apparmor_fd, f"exec {step.target}", "AppArmor", "/sys/kernel/security/apparmor")


def _set_selinux(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    _write_label(child.selinux_fd, step.target, "SELinux", "/sys/fs/selinux")


def _write_label(fd: int, text: str, module: str, where: str) -> None:
    try:
        if fd < 0:
            raise OSError(errno.EINVAL, "no such attribute")
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror} ({module} does not take it; is it enabled?)", where
        ) from None


def _load_seccomp(child: Child, step: SetupStep) -> None:
    program, flags = step.value
    if flags & k.SECCOMP_FILTER_FLAG_NEW_LISTENER:
        from runtime.container.seccomp_listener import load_with_listener

        load_with_listener(child.channel_fd, program, flags)
    else:
        syscalls.seccomp_set_filter(program, flags)


OPERATIONS: dict[str, Callable[[Child, SetupStep], None]] = {
    **init.OPERATIONS,
    "open labels": _open_labels,
    "take root of the user namespace": take_root,
    "run hooks": _run_hooks,
    "move root to": _move_root,
    "bind prepared": _bind_prepared,
    "bind specially": _bind_specially,
    "mount specially": _mount_specially,
    "remount": _remount,
    "show cgroups on": _show_cgroups,
    "bind device": _bind_device,
    "set checked sysctl": _set_checked_sysctl,
    "find program": _find_program,
    "own stdio with group": _own_stdio,
    "bring up loopback": _bring_up_loopback,
    "set scheduler": _set_scheduler,
    "set io priority": _set_io_priority,
    "set personality": _set_personality,
    "set memory policy": _set_memory_policy,
    "set apparmor profile": _set_apparmor,
    "set selinux label": _set_selinux,
    "load seccomp filter with flags": _load_seccomp,
}
