"""Carries out the steps that make a forked child the process it is to be: session, limits, user, privileges.

Shared by a container's first process and by exec.
"""

import errno
import fcntl
import os
import resource
import signal
import stat
from collections.abc import Callable

from runtime.container.child import Child
from runtime.container.setup import Identity, SetupStep
from runtime.linux import capabilities, syscalls
from runtime.linux import constants as k


def _join_keyring(child: Child, step: SetupStep) -> None:
    # Without a session keyring of its own a container would find the keys of whoever ran `up` (session-keyring(7)).
    try:
        syscalls.keyctl_join_session_keyring()
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise


def _start_session(child: Child, step: SetupStep) -> None:
    os.setsid()
    if child.console >= 0:
        fcntl.ioctl(0, k.TIOCSCTTY, 0)


def _set_oom_score(child: Child, step: SetupStep) -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(step.value).encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, "/proc/self/oom_score_adj") from None
    finally:
        os.close(fd)


def _limit(child: Child, step: SetupStep) -> None:
    soft, hard = step.value
    try:
        resource.setrlimit(getattr(resource, step.target), (_rlimit(soft), _rlimit(hard)))
    except ValueError as error:  # how Python reports EPERM and EINVAL here
        raise OSError(errno.EPERM, str(error), step.target) from None


def _rlimit(value: int) -> int:
    # 2**64-1 is how the specification's JSON writes "unlimited"; Python wants -1.
    return resource.RLIM_INFINITY if value < 0 or value >= 1 << 63 else value


def _own_stdio(child: Child, step: SetupStep) -> None:
    """A program that is not root may open /dev/stdout again (nginx does); pipes belong to who made them."""
    for fd in (0, 1, 2):
        found = os.fstat(fd)
        if found.st_uid == step.value or (stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)):
            continue
        if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode)):
            continue  # a file or socket of the caller's keeps its owner
        try:
            os.fchown(fd, step.value, -1)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL, errno.EROFS):
                raise


def _enter(child: Child, step: SetupStep) -> None:
    """chdir, tried as root and again as the user: either may be the one who is allowed to (NFS, mode 700)."""
    if child.entered:
        return
    try:
        os.chdir(step.target)
    except PermissionError:
        if step.value == "as root":
            return
        raise
    # getcwd fails for a directory outside the root: a link through a leaked descriptor (CVE-2024-21626).
    os.getcwd()
    child.entered = True


def _become_user(child: Child, step: SetupStep) -> None:
    wanted: Identity = step.value
    capabilities.limit_bounding_set(wanted.bounding, child.last_capability)
    syscalls.prctl(k.PR_SET_KEEPCAPS, 1)
    if wanted.groups is not None:
        os.setgroups(list(wanted.groups))
    os.setresgid(wanted.gid, wanted.gid, wanted.gid)
    os.setresuid(wanted.uid, wanted.uid, wanted.uid)
    syscalls.prctl(k.PR_SET_KEEPCAPS, 0)
    capabilities.apply_sets(wanted.effective, wanted.permitted, wanted.inheritable, wanted.ambient)
    # The change of user has reset it to fs.suid_dumpable; until exec nobody may look into this interpreter.
    syscalls.prctl(k.PR_SET_DUMPABLE, 0)


def _set_umask(child: Child, step: SetupStep) -> None:
    os.umask(step.value)


def _die_with_parent(child: Child, step: SetupStep) -> None:
    # A change of credentials would clear it, so it comes after them. The parent may have died before this call:
    # the child then reads end-of-file instead of the word to go, and ends (sync.py).
    syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)


def _forbid_new_privileges(child: Child, step: SetupStep) -> None:
    syscalls.prctl(k.PR_SET_NO_NEW_PRIVS, 1)


def _load_seccomp(child: Child, step: SetupStep) -> None:
    syscalls.seccomp_set_filter(step.value)


OPERATIONS: dict[str, Callable[[Child, SetupStep], None]] = {
    "join new session keyring": _join_keyring,
    "start session": _start_session,
    "set oom score": _set_oom_score,
    "limit": _limit,
    "own stdio": _own_stdio,
    "enter": _enter,
    "become user": _become_user,
    "set umask": _set_umask,
    "die with parent": _die_with_parent,
    "forbid new privileges": _forbid_new_privileges,
    "load seccomp filter": _load_seccomp,
}
