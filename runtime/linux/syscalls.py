"""Bare system calls that Python's standard library lacks. The only module that uses ctypes.

One function per call, named like it: retries EINTR, raises OSError(errno, strerror, path), decides nothing.
Logic belongs one level up (mounts, namespaces, capabilities, …). Not here because the library has them:
pidfd_open/pidfd_send_signal (os, signal), memfd_create (os) and its seals (fcntl), prlimit (resource).

The libc handle is a PyDLL: the interpreter lock stays held during a call. `clone3` needs that (a child of a
released lock would never get it back), and none of the other calls blocks for long, but syncfs, which gives it up.
"""

import ctypes
import errno
import os
import signal
from collections.abc import Sequence

from runtime.linux import constants as k

_libc = ctypes.PyDLL(None, use_errno=True)
_unlocked_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.pythonapi
_get_errno = ctypes.get_errno
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_long = ctypes.c_long
_ulong = ctypes.c_ulong
_int = ctypes.c_int
_charp = ctypes.c_char_p
_voidp = ctypes.c_void_p

MACHINE = os.uname().machine

# Numbers of the calls glibc has no wrapper for (asm/unistd_64.h, asm-generic/unistd.h). From 424 on all
# architectures share one numbering.
_NUMBERS: dict[str, tuple[int, ...]] = {
    # pivot_root, capget, capset, seccomp, bpf, keyctl, ioprio_set, sched_setattr, set_mempolicy
    "x86_64": (155, 125, 126, 317, 321, 250, 251, 314, 238),
    "aarch64": (41, 90, 91, 277, 280, 219, 30, 274, 237),
}
if MACHINE not in _NUMBERS:
    raise ImportError(f"pycompose runs on x86_64 and aarch64, this is {MACHINE}")
_PIVOT_ROOT, _CAPGET, _CAPSET, _SECCOMP, _BPF, _KEYCTL, *_SCHEDULING = _NUMBERS[MACHINE]
_IOPRIO_SET, _SCHED_SETATTR, _SET_MEMPOLICY = _SCHEDULING
_PIDFD_SEND_SIGNAL, _OPEN_TREE, _MOVE_MOUNT, _CLONE3 = 424, 428, 429, 435
_CLOSE_RANGE, _OPENAT2, _MOUNT_SETATTR, _QUOTACTL_FD = 436, 437, 442, 443

_libc.mount.argtypes = (_charp, _charp, _charp, _ulong, _charp)
_libc.umount2.argtypes = (_charp, _int)
_libc.unshare.argtypes = (_int,)
_libc.setns.argtypes = (_int, _int)
_libc.sethostname.argtypes = (_charp, ctypes.c_size_t)
_libc.setdomainname.argtypes = (_charp, ctypes.c_size_t)
_libc.prctl.argtypes = (_int, _ulong, _ulong, _ulong, _ulong)
_libc.personality.argtypes = (_ulong,)
_libc.inotify_init1.argtypes = (_int,)
_libc.inotify_add_watch.argtypes = (_int, _charp, ctypes.c_uint32)
for _hook in (_python.PyOS_BeforeFork, _python.PyOS_AfterFork_Parent, _python.PyOS_AfterFork_Child):
    _hook.restype = None
    _hook.argtypes = ()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def _fail(path: str | None = None) -> OSError:
    number = _get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), path)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None
) -> None:
    """mount(2). `flags` are MS_* bits, `data` the file system's own options."""
    while _libc.mount(_bytes(source), os.fsencode(target), _bytes(fstype), flags, _bytes(data)) != 0:
        if _get_errno() != errno.EINTR:
            raise _fail(target)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2). `flags` are MNT_* and UMOUNT_* bits."""
    while _libc.umount2(os.fsencode(target), flags) != 0:
        if _get_errno() != errno.EINTR:
            raise _fail(target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    if _syscall(_long(_PIVOT_ROOT), _charp(os.fsencode(new_root)), _charp(os.fsencode(put_old))) != 0:
        raise _fail(new_root)


def unshare(flags: int) -> None:
    """unshare(2). `flags` are CLONE_NEW* bits."""
    if _libc.unshare(flags) != 0:
        raise _fail()


def setns(fd: int, nstype: int) -> None:
    """setns(2). `fd` is a namespace file or, with several CLONE_NEW* bits, a pidfd (Linux 5.8)."""
    if _libc.setns(fd, nstype) != 0:
        raise _fail()


def clone3(flags: int, *, exit_signal: int = signal.SIGCHLD, cgroup_fd: int = -1) -> tuple[int, int]:
    """clone3(2) used like fork: returns (pid, pidfd) in the parent and (0, -1) in the child.

    `flags` are CLONE_NEW* bits and CLONE_PARENT; CLONE_PIDFD is always added, and the pidfd is close-on-exec.
    With CLONE_PARENT the kernel wants exit_signal 0 and uses the caller's own.
    The child is born in the cgroup v2 whose directory `cgroup_fd` is, if that is given (Linux 5.7).
    Only for single-threaded processes: glibc's fork handlers do not run, the interpreter's do.
    """
    pidfd = _int(-1)
    arguments = (ctypes.c_uint64 * 11)()  # struct clone_args
    arguments[0] = flags | k.CLONE_PIDFD | (k.CLONE_INTO_CGROUP if cgroup_fd >= 0 else 0)
    arguments[1] = ctypes.addressof(pidfd)
    arguments[4] = 0 if flags & k.CLONE_PARENT else exit_signal
    arguments[10] = max(0, cgroup_fd)
    size = _ulong(ctypes.sizeof(arguments))
    call, pointer = _long(_CLONE3), ctypes.byref(arguments)
    _python.PyOS_BeforeFork()
    pid: int = _syscall(call, pointer, size)
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    number = _get_errno()
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(number, os.strerror(number))
    return pid, pidfd.value


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = os.fsencode(name)
    if _libc.sethostname(raw, len(raw)) != 0:
        raise _fail(name)


def setdomainname(name: str) -> None:
    """setdomainname(2), the NIS domain name."""
    raw = os.fsencode(name)
    if _libc.setdomainname(raw, len(raw)) != 0:
        raise _fail(name)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2) with integer arguments; returns what the kernel returns."""
    result: int = _libc.prctl(option, arg2, arg3, arg4, arg5)
    if result < 0:
        raise _fail()
    return result


def capget() -> tuple[int, int, int]:
    """capget(2) of the calling thread: (effective, permitted, inheritable) as bit masks."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if _syscall(_long(_CAPGET), ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _fail()
    return data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread; the sets are bit masks (version 3 of the interface, 64 bits)."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    low = 0xFFFFFFFF
    data = (ctypes.c_uint32 * 6)(
        effective & low,
        permitted & low,
        inheritable & low,
        effective >> 32,
        permitted >> 32,
        inheritable >> 32,
    )
    if _syscall(_long(_CAPSET), ctypes.byref(header), ctypes.byref(data)) != 0:
        raise _fail()


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", _voidp))


def seccomp_set_filter(program: bytes, flags: int = 0) -> int:
    """seccomp(2) SECCOMP_SET_MODE_FILTER. `program` is an array of struct sock_filter (8 bytes each).

    `flags` are SECCOMP_FILTER_FLAG_* bits; returns the listener's descriptor with _NEW_LISTENER, else 0.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = _SockFprog(len(program) // 8, ctypes.cast(buffer, _voidp))
    result: int = _syscall(
        _long(_SECCOMP), _long(k.SECCOMP_SET_MODE_FILTER), _ulong(flags), ctypes.byref(fprog)
    )
    if result < 0:
        raise _fail()
    return result


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2); O_CLOEXEC is always added. `resolve` are RESOLVE_* bits."""
    how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, resolve)
    raw = _charp(os.fsencode(path))
    while True:
        fd: int = _syscall(_long(_OPENAT2), _long(dirfd), raw, ctypes.byref(how), _ulong(24))
        if fd >= 0:
            return fd
        # EAGAIN: a rename or mount raced with the resolution of ".."; the man page says to try again.
        if _get_errno() not in (errno.EINTR, errno.EAGAIN):
            raise _fail(path)


def mount_setattr(
    dirfd: int,
    path: str,
    flags: int,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
) -> None:
    """mount_setattr(2). `flags` are AT_* bits, `attr_*` MOUNT_ATTR_* bits, `propagation` an MS_* bit.

    `userns_fd` is the user namespace whose id maps MOUNT_ATTR_IDMAP applies.
    """
    attributes = (ctypes.c_uint64 * 4)(attr_set, attr_clr, propagation, userns_fd)
    raw = _charp(os.fsencode(path))
    if _syscall(
        _long(_MOUNT_SETATTR), _long(dirfd), raw, _ulong(flags), ctypes.byref(attributes), _ulong(32)
    ):
        raise _fail(path)


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """open_tree(2); the descriptor is close-on-exec. `flags` are OPEN_TREE_CLONE and AT_* bits."""
    raw = _charp(os.fsencode(path))
    fd: int = _syscall(_long(_OPEN_TREE), _long(dirfd), raw, _ulong(flags | k.OPEN_TREE_CLOEXEC))
    if fd < 0:
        raise _fail(path)
    return fd


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int) -> None:
    """move_mount(2). `flags` are MOVE_MOUNT_* bits."""
    source, target = _charp(os.fsencode(from_path)), _charp(os.fsencode(to_path))
    if _syscall(_long(_MOVE_MOUNT), _long(from_fd), source, _long(to_fd), target, _ulong(flags)) != 0:
        raise _fail(to_path or from_path)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    """close_range(2): close all descriptors from `first` to `last`, both included."""
    if _syscall(_long(_CLOSE_RANGE), _ulong(first), _ulong(last), _ulong(flags)) != 0:
        raise _fail()


def inotify_init1(flags: int = k.IN_CLOEXEC | k.IN_NONBLOCK) -> int:
    """inotify_init1(2)."""
    fd: int = _libc.inotify_init1(flags)
    if fd < 0:
        raise _fail()
    return fd


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """inotify_add_watch(2): the watch descriptor. `mask` are IN_* bits."""
    watch: int = _libc.inotify_add_watch(fd, os.fsencode(path), mask)
    if watch < 0:
        raise _fail(path)
    return watch


def inotify_rm_watch(fd: int, watch: int) -> None:
    """inotify_rm_watch(2)."""
    if _libc.inotify_rm_watch(fd, watch) != 0:
        raise _fail()


def signalfd(numbers: Sequence[int]) -> int:
    """signalfd(2): a close-on-exec, non-blocking descriptor, readable when one of these blocked signals is pending."""
    mask = (ctypes.c_uint64 * 16)(sum(1 << (number - 1) for number in numbers))  # sigset_t
    fd: int = _libc.signalfd(-1, ctypes.byref(mask), os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise _fail()
    return fd


def personality(persona: int) -> int:
    """personality(2): the persona before the call; 0xFFFFFFFF only asks."""
    result: int = _libc.personality(persona)
    if result < 0:
        raise _fail()
    return result


def bpf_prog_load(prog_type: int, instructions: bytes, name: str, *, license_name: str = "Apache-2.0") -> int:
    """bpf(2) BPF_PROG_LOAD: a close-on-exec descriptor of the program. `instructions` are 8 bytes each.

    `name` is what bpf_prog_name tells later, at most 15 letters, digits, "_" and ".".
    Raises OSError; a rejected program's reason is in the verifier log, which is appended to strerror.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    terms = ctypes.create_string_buffer(license_name.encode())
    log = ctypes.create_string_buffer(16384)
    attributes = (ctypes.c_uint64 * 8)()
    words = ctypes.cast(attributes, ctypes.POINTER(ctypes.c_uint32))
    words[0], words[1] = prog_type, len(instructions) // 8
    attributes[1], attributes[2] = ctypes.addressof(code), ctypes.addressof(terms)
    words[6], words[7] = 1, len(log)
    attributes[4] = ctypes.addressof(log)
    attributes[6:8] = [int.from_bytes(part, "little") for part in (name.encode()[:8], name.encode()[8:15])]
    fd: int = _syscall(_long(_BPF), _long(k.BPF_PROG_LOAD), ctypes.byref(attributes), _ulong(64))
    if fd < 0:
        number = _get_errno()
        reason = log.value.decode(errors="replace").strip()
        raise OSError(number, f"{os.strerror(number)}{': ' if reason else ''}{reason}")
    return fd


def bpf_prog_attach(target_fd: int, prog_fd: int, attach_type: int, flags: int = 0) -> None:
    """bpf(2) BPF_PROG_ATTACH. `target_fd` is an open cgroup directory for BPF_CGROUP_* types."""
    attributes = (ctypes.c_uint32 * 8)(target_fd, prog_fd, attach_type, flags)
    if _syscall(_long(_BPF), _long(k.BPF_PROG_ATTACH), ctypes.byref(attributes), _ulong(32)) != 0:
        raise _fail()


def bpf_prog_detach(target_fd: int, prog_fd: int, attach_type: int) -> None:
    """bpf(2) BPF_PROG_DETACH of one program from a cgroup directory."""
    attributes = (ctypes.c_uint32 * 8)(target_fd, prog_fd, attach_type)
    if _syscall(_long(_BPF), _long(k.BPF_PROG_DETACH), ctypes.byref(attributes), _ulong(32)) != 0:
        raise _fail()


def bpf_prog_query(target_fd: int, attach_type: int) -> list[int]:
    """bpf(2) BPF_PROG_QUERY: ids of the programs attached to a cgroup directory itself, at most 64."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = (ctypes.c_uint64 * 8)()
    words = ctypes.cast(attributes, ctypes.POINTER(ctypes.c_uint32))
    words[0], words[1], words[6] = target_fd, attach_type, len(ids)
    attributes[2] = ctypes.addressof(ids)
    if _syscall(_long(_BPF), _long(k.BPF_PROG_QUERY), ctypes.byref(attributes), _ulong(64)) != 0:
        raise _fail()
    return ids[: words[6]]


def bpf_prog_get_fd_by_id(identity: int) -> int:
    """bpf(2) BPF_PROG_GET_FD_BY_ID: a close-on-exec descriptor of a loaded program."""
    attributes = (ctypes.c_uint32 * 4)(identity)
    fd: int = _syscall(_long(_BPF), _long(k.BPF_PROG_GET_FD_BY_ID), ctypes.byref(attributes), _ulong(12))
    if fd < 0:
        raise _fail()
    return fd


def bpf_prog_name(prog_fd: int) -> str:
    """bpf(2) BPF_OBJ_GET_INFO_BY_FD: the name a program was loaded with."""
    info = ctypes.create_string_buffer(
        80
    )  # struct bpf_prog_info up to its name, which is the bytes from 64 on
    attributes = (ctypes.c_uint64 * 2)(prog_fd | len(info) << 32, ctypes.addressof(info))
    if _syscall(_long(_BPF), _long(k.BPF_OBJ_GET_INFO_BY_FD), ctypes.byref(attributes), _ulong(16)) != 0:
        raise _fail()
    return info.raw[64:80].rstrip(b"\0").decode()


def keyctl_join_session_keyring(name: str | None = None) -> int:
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING: join or create a session keyring, None = a new anonymous one."""
    raw = None if name is None else os.fsencode(name)
    serial: int = _syscall(_long(_KEYCTL), _long(k.KEYCTL_JOIN_SESSION_KEYRING), _charp(raw))
    if serial < 0:
        raise _fail(name)
    return serial


def fstatfs_type(fd: int) -> int:
    """fstatfs(2): the magic number of the file system a descriptor lies on (linux/magic.h)."""
    buffer = (ctypes.c_long * 32)()  # struct statfs; f_type is its first word
    if _libc.fstatfs(fd, ctypes.byref(buffer)) != 0:
        raise _fail()
    return int(buffer[0])


def syncfs(fd: int) -> None:
    """syncfs(2): all that was written to the file system of a descriptor is on its disk."""
    if _unlocked_libc.syncfs(fd) != 0:
        raise _fail()


def quotactl_fd(fd: int, command: int, number: int, buffer: bytearray) -> None:
    """quotactl_fd(2) on the file system of a descriptor; the kernel reads or fills `buffer`."""
    memory = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    words = (_long(fd), _ulong(command), _long(number), ctypes.byref(memory))
    if _syscall(_long(_QUOTACTL_FD), *words) != 0:
        raise _fail()


def ioprio_set(priority: int) -> None:
    """ioprio_set(2) of the calling process; class << 13 | level."""
    if _syscall(_long(_IOPRIO_SET), _long(k.IOPRIO_WHO_PROCESS), _long(0), _long(priority)) != 0:
        raise _fail()


def sched_setattr(attributes: bytes) -> None:
    """sched_setattr(2) of the calling thread; `attributes` is a struct sched_attr."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    if _syscall(_long(_SCHED_SETATTR), _long(0), ctypes.byref(buffer), _ulong(0)) != 0:
        raise _fail()


def set_mempolicy(mode: int, nodes: int) -> None:
    """set_mempolicy(2) of the calling thread; `nodes` is a bit mask of at most 1024 nodes."""
    mask = (ctypes.c_uint64 * 16)(*((nodes >> 64 * word) & (1 << 64) - 1 for word in range(16)))
    if _syscall(_long(_SET_MEMPOLICY), _long(mode), ctypes.byref(mask), _ulong(1024)) != 0:
        raise _fail()


def malloc_trim() -> None:
    """malloc_trim(3): give free memory of the C library's heap back; nothing where the library has no such call."""
    trim = getattr(_libc, "malloc_trim", None)
    if trim is not None:
        trim(0)
