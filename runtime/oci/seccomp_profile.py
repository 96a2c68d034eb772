"""The default seccomp profile as an OCI `Seccomp` object. Pure; data and one function.

The policy is Docker's: everything is refused (EPERM) but a list of calls; some come with a capability, some only with
certain arguments. What the list leaves out: loading code into the kernel, changing mounts, clocks and names,
namespaces, keyrings, io_uring, raw BPF and performance counters, swap, and calls nobody needs any more.
"""

import errno
from collections.abc import Iterable
from functools import cache

from runtime.oci.spec import Seccomp, SeccompArg, SeccompRule

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr
flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64
getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lgetxattr
link linkat listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat
name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2
read readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile
setxattr setxattrat splice stat statfs statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate
umask unlink unlinkat utime utimensat utimes vmsplice write writev cachestat io_cancel io_destroy
io_getevents io_pgetevents io_setup io_submit ioprio_get ioprio_set
"""
_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
eventfd eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list pause poll ppoll
pselect6 restart_syscall select set_robust_list signalfd signalfd4
"""
_MEMORY = """
brk get_thread_area madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2
mlockall mmap mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
process_mrelease remap_file_pages set_thread_area
"""
_PROCESSES = """
arch_prctl capget capset execve execveat exit exit_group fork getcpu getegid geteuid getgid getgroups
getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self modify_ldt pidfd_open pidfd_send_signal
prctl prlimit64 ptrace process_vm_readv process_vm_writev rseq rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid
setrlimit setsid setuid sigaltstack sysinfo tgkill times tkill uname uretprobe vfork wait4 waitid
"""
_TIME = """
adjtimex alarm clock_adjtime clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep
setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime
"""
_TALKING = """
accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open
mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget
semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair getrandom
"""

# What 32-bit programs call in place of calls above. Not `socketcall`: a filter cannot see which family it asks for, and
# since Linux 4.3 there is `socket` beside it.
_WIDE = """
_llseek _newselect chown32 clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64 fadvise64_64
fchown32 fcntl64 fstat64 fstatat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32 getgroups32
getresgid32 getresuid32 getuid32 io_pgetevents_time64 ipc lchown32 lstat64 mmap2 mq_timedreceive_time64
mq_timedsend_time64 ppoll_time64 pselect6_time64 recv recvmmsg_time64 rt_sigtimedwait_time64
sched_rr_get_interval_time64 semtimedop_time64 send sendfile64 setfsgid32 setfsuid32 setgid32 setgroups32
setregid32 setresgid32 setresuid32 setreuid32 setuid32 sigprocmask sigreturn stat64 statfs64 timer_gettime64
timer_settime64 timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit utimensat_time64 waitpid
"""

# Calls that a capability brings along (capabilities(7) names most of them under that capability).
_BY_CAPABILITY: dict[str, str] = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr
        move_mount open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns
        syslog umount umount2 unshare
        """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

_ALLOW = "SCMP_ACT_ALLOW"
_ERRNO = "SCMP_ACT_ERRNO"
# Families that lead past a container's walls: the kernel's cryptography, which many an exploit began with, and the
# hypervisor.
_AF_ALG, _AF_NFC, _AF_VSOCK, _AF_MAX = 38, 39, 40, 46
# Every CLONE_NEW* bit that clone(2) takes: a namespace is only for who may administer the system.
_NAMESPACE_BITS = 0x7E020000
# PER_LINUX, PER_LINUX32, each with UNAME26, and 0xffffffff which only asks (personality(2)).
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)


def default_profile(capabilities: Iterable[str]) -> Seccomp:
    """The profile for a process whose bounding set is `capabilities` (names as CAP_CHOWN).

    Equal sets get the same object, which is not to be changed: shims forked after it was made share it.
    """
    return _make_profile(frozenset(capabilities))


@cache
def _make_profile(held: frozenset[str]) -> Seccomp:
    names = " ".join((_FILES, _WAITING, _MEMORY, _PROCESSES, _TIME, _TALKING, _WIDE)).split()
    for capability, calls in _BY_CAPABILITY.items():
        if capability in held:
            names += calls.split()
    rules: list[SeccompRule] = [{"names": sorted(set(names)), "action": _ALLOW}]
    rules += [_only_with("personality", 0, "SCMP_CMP_EQ", value) for value in _PERSONALITIES]
    # Not "any but these": the kernel reads 32 bits of the argument and a filter 64, so that 1 << 32 | 40 would pass.
    rules.append(_only_with("socket", 0, "SCMP_CMP_LT", _AF_ALG))
    families = (_AF_NFC, *range(_AF_VSOCK + 1, _AF_MAX))
    rules += [_only_with("socket", 0, "SCMP_CMP_EQ", family) for family in families]
    if "CAP_SYS_ADMIN" not in held:
        rules.append(_only_with("clone", 0, "SCMP_CMP_MASKED_EQ", _NAMESPACE_BITS, 0))
        # Its flags lie in memory where a filter cannot look; libc falls back to clone on this answer.
        rules.append({"names": ["clone3"], "action": _ERRNO, "errnoRet": errno.ENOSYS})
    rules.append({"names": ["socketcall"], "action": _ERRNO, "errnoRet": errno.ENOSYS})
    # The machine's own architecture is always meant; these two mean nothing to one that is not x86-64.
    architectures = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    return {
        "defaultAction": _ERRNO,
        "defaultErrnoRet": errno.EPERM,
        "architectures": architectures,
        "syscalls": rules,
    }


def _only_with(name: str, index: int, op: str, value: int, value_two: int | None = None) -> SeccompRule:
    argument: SeccompArg = {"index": index, "value": value, "op": op}
    if value_two is not None:
        argument["valueTwo"] = value_two
    return {"names": [name], "action": _ALLOW, "args": [argument]}
