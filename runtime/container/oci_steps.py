"""Carries out the steps that only containers of the OCI command need (planned by `oci_setup`)."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Callable

from runtime.container import init, oci_mounts, sync
from runtime.container.child import Child, find_program
from runtime.container.oci_child import OciChild
from runtime.container.setup import SetupStep
from runtime.linux import constants as k
from runtime.linux import paths, syscalls

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1


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
    assert isinstance(child, OciChild)
    try:
        os.setgroups([])
    except PermissionError:
        child.groups_fixed = True  # an unprivileged process has written the maps
    for change in (os.setresgid, os.setresuid):
        try:
            change(0, 0, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: 0 has no map
                raise
    syscalls.prctl(k.PR_SET_DUMPABLE, 0)


def _make_ipc_namespace(child: Child, step: SetupStep) -> None:
    syscalls.unshare(k.CLONE_NEWIPC)


def _run_hooks(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    sync.send_ready_for_hooks(child.channel_fd)
    if os.read(child.channel_fd, 1) != sync.GO:
        os._exit(1)
    if child.hooks is not None:
        child.hooks()


def _use_root(child: Child, step: SetupStep) -> None:
    child.root_fd = paths.open_root(step.target)


def _confine_to_root(child: Child, step: SetupStep) -> None:
    """chroot(2) alone, where the mount namespace is shared with the caller."""
    os.fchdir(child.root_fd)
    os.close(child.root_fd)
    child.root_fd = -1
    os.chroot(".")
    os.chdir("/")


def _move_root(child: Child, step: SetupStep) -> None:
    """--no-pivot, for a root on a ramfs: the new root is moved over the old one, which stays below it."""
    os.fchdir(child.root_fd)
    os.close(child.root_fd)
    child.root_fd = -1
    syscalls.mount(".", "/", None, k.MS_MOVE, None)
    os.chroot(".")
    os.chdir("/")


# ---- after the root is changed


def _set_sysctl(child: Child, step: SetupStep) -> None:
    """Through a /proc that is one: an image may have put something else there."""
    path = paths.sysctl_path(step.target)
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if syscalls.fstatfs_type(fd) != k.PROC_SUPER_MAGIC:
            raise OSError(errno.EPERM, "is not a file of procfs", path)
        os.write(fd, step.value.encode())
    finally:
        os.close(fd)


def _find_program(child: Child, step: SetupStep) -> None:
    """At `create` already, so that an engine hears of a wrong command before it has set everything up.

    As root, and before a filter is loaded that may forbid to look.
    """
    cwd, environment = step.value
    try:
        path = find_program(step.target, environment)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, "executable file not found in $PATH", step.target) from None
    except PermissionError:
        raise OSError(errno.EACCES, "permission denied", step.target) from None
    child.program = path
    if "/" in step.target:
        if not step.target.startswith("/"):
            os.chdir(cwd)
        if not os.path.exists(path):
            raise OSError(errno.ENOENT, "no such file or directory", step.target)
        if os.path.isdir(path) or not os.access(path, os.X_OK, effective_ids=True):
            raise OSError(errno.EACCES, "permission denied", step.target)


# ---- who the process is


def _become_user(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    if child.groups_fixed and not step.value.groups:
        step = step._replace(value=step.value._replace(groups=None))
    init.OPERATIONS["become user"](child, step)


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
    attributes = struct.pack("=IIQiIQQQ", 48, policy, flags, nice, priority, runtime, deadline, period)
    try:
        syscalls.sched_setattr(attributes)
    except PermissionError as error:
        needed = "CAP_SYS_NICE, and for real time a cgroup with a share of it (resources.cpu.realtimeRuntime)"
        raise OSError(error.errno, f"{error.strerror}: it needs {needed}") from None


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
    **oci_mounts.OPERATIONS,
    "open labels": _open_labels,
    "take root of the user namespace": take_root,
    "make ipc namespace": _make_ipc_namespace,
    "run hooks": _run_hooks,
    "move root to": _move_root,
    "use root": _use_root,
    "confine to root": _confine_to_root,
    "set sysctl": _set_sysctl,
    "find program": _find_program,
    "become user": _become_user,
    "own stdio": _own_stdio,
    "bring up loopback": _bring_up_loopback,
    "set scheduler": _set_scheduler,
    "set io priority": _set_io_priority,
    "set personality": _set_personality,
    "set memory policy": _set_memory_policy,
    "set apparmor profile": _set_apparmor,
    "set selinux label": _set_selinux,
    "load seccomp filter": _load_seccomp,
}
