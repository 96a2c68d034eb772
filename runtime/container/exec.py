"""Runs another program in a running container: `exec`, health checks.

    caller ──clone3──► intermediate ──setns, clone3(CLONE_PARENT)──► the process
       │                    │                                            │
       │ ◄── pid, pidfd ────┘ exits                                      │ joins the cgroup, identity.py
       │ ◄────────────────────────── "created", console ─────────────────┤
       ├──────────────────────────── "g" ───────────────────────────────►│ trampoline, program

A process enters a pid namespace only by being born there, hence two forks; CLONE_PARENT makes the second one's
child the caller's own, which reaps it like any other.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from runtime.cgroups.manager import join_opened
from runtime.container import console, identity, sync
from runtime.container.child import Child, make_channel, settle
from runtime.container.setup import SetupStep, plan_exec_console, plan_identity
from runtime.container.trampoline import open_trampoline
from runtime.container.users import resolve_user
from runtime.errors import InvalidError, StartError
from runtime.linux import constants as k
from runtime.linux import namespaces, syscalls
from runtime.linux.capabilities import last_capability, permitted_names

if TYPE_CHECKING:
    import socket

    from runtime.cgroups.manager import Cgroup
    from runtime.oci.spec import Process, Spec

_NAMESPACES = (
    k.CLONE_NEWNS | k.CLONE_NEWPID | k.CLONE_NEWIPC | k.CLONE_NEWUTS | k.CLONE_NEWNET | k.CLONE_NEWCGROUP
)
_OPERATIONS = {**identity.OPERATIONS, "open console": console.open_console}


class Manner(NamedTuple):
    """What a caller may do its own way. `before_joining` runs in the intermediate, still among the host's mounts;
    `keep` are descriptors the process gets as `Child.extra_fds`, which that may add to."""

    namespaces: int
    operations: Mapping[str, Callable[[Child, SetupStep], None]]
    make_child: Callable[[int], Child] = Child
    plan: Callable[[Process, bytes | None], tuple[SetupStep, ...]] | None = None
    before_joining: Callable[[], None] | None = None
    keep: Sequence[int] = ()


_PLAIN = Manner(_NAMESPACES, _OPERATIONS)


def manner_of(spec: Spec, process: Process, init_pid: int) -> Manner:
    """How to enter one of the shim's containers."""
    if all(namespace["type"] != "user" for namespace in spec["linux"].get("namespaces", ())):
        return _PLAIN
    from runtime.container.oci_exec import differing_namespaces, plan_manner

    return plan_manner(spec, process, differing_namespaces(init_pid))


class ExecProcess:
    """A process that runs in the container and is a child of the caller, who owns `pidfd` and `console`."""

    __slots__ = ("console", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, console_fd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.console = console_fd


def exec_process(
    spec: Spec,
    args: Sequence[str],
    *,
    env: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    cwd: str = "",
    user: str | None = None,
    privileged: bool = False,
    tty: bool = False,
    root: str = "",
) -> Process:
    """The OCI process of an exec: the container's own with other arguments.

    `user` ("name|uid[:group|gid]") is looked up below `root`, a path of the running container's root filesystem
    such as /proc/PID/root. Raises InvalidError, NotFoundError.
    """
    if not args or not args[0]:
        raise InvalidError("no command given to run in the container", hint="name the program to run")
    own = spec["process"]
    process: Process = {**own, "args": list(args), "terminal": tty}
    process.pop("consoleSize", None)
    if cwd:
        if not cwd.startswith("/"):
            raise InvalidError(f"working directory {cwd!r} is not absolute")
        process["cwd"] = cwd
    variables = dict(item.partition("=")[::2] for item in own.get("env", ()))
    if tty:
        variables.setdefault("TERM", "xterm")
    if user is not None:
        found = resolve_user(root, user)
        process["user"] = {
            "uid": found.uid,
            "gid": found.gid,
            "additionalGids": list(found.additional_gids),
        }
        variables["HOME"] = found.home
    variables.update(env)
    process["env"] = [f"{name}={value}" for name, value in variables.items()]
    if privileged:
        names = list(permitted_names())
        process["capabilities"] = {"bounding": names, "effective": names, "permitted": names}
    return process


def spawn_exec(
    process: Process,
    *,
    init_pid: int,
    init_pidfd: int,
    cgroup: Cgroup,
    stdio: tuple[int, int, int],
    seccomp_program: bytes | None,
    preserve_fds: Sequence[int] = (),
    manner: Manner = _PLAIN,
) -> ExecProcess:
    """Run a process in the namespaces of a container's first process; returns when it has been exec'ed.

    `init_pidfd` was opened when `init_pid` was known to be the recorded process (pidfd.open_checked).
    `stdio` are
    the descriptors for 0, 1, 2, not used when the process has a terminal. Raises StartError (errno ENOENT:
    command
    not found, exit code 127; EACCES: 126), InvalidError, OSError. The caller is single-threaded.
    """
    steps = (manner.plan or _plan)(process, seccomp_program)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC) if process.get("terminal") else -1
    near, far = make_channel()
    report, report_far = make_channel()
    errors, errors_far = os.pipe2(os.O_CLOEXEC)
    closing = [errors_far, null]
    try:
        closing.append(trampoline := open_trampoline(3 + len(preserve_fds)))
        try:
            closing.append(birth := cgroup.open_for_birth())
            closing += (procs := cgroup.open_for_joining(born=birth >= 0))
        except FileNotFoundError as error:
            raise _gone(init_pid) from error
        child = manner.make_child(last_capability())
        middle, middle_fd = syscalls.clone3(0)
        if middle == 0:
            try:
                settle()
                pid, pidfd = _enter(init_pidfd, report_far.fileno(), manner, birth)
                if pid:
                    sync.send_process(report_far.fileno(), pid, pidfd)
                    os._exit(0)
                join_opened(procs)
                if manner.namespaces & k.CLONE_NEWCGROUP:
                    namespaces.join_process(init_pidfd, k.CLONE_NEWCGROUP)
                descriptors = (null, null, null) if null >= 0 else stdio
                child.arrange_descriptors(
                    descriptors, preserve_fds, errors_far, far.fileno(), trampoline, manner.keep
                )
                child.run_steps(steps, manner.operations)
                child.report_created()
                child.exec_program(process["args"], process.get("env", []))
            except BaseException as error:
                channel = child.channel_fd if child.channel_fd >= 0 else far.fileno()
                sync.send_failure(channel, "enter the container's cgroup", error)
            finally:
                os._exit(1)
        closing.append(middle_fd)
        far.close()
        report_far.close()
        return _await(near, report, errors, middle, init_pid, process["args"][0], closing)
    finally:
        for connection in (near, far, report, report_far):
            connection.close()
        for fd in (*closing, errors):
            if fd >= 0:
                os.close(fd)


def _plan(process: Process, seccomp: bytes | None) -> tuple[SetupStep, ...]:
    first = (plan_exec_console(process),) if process.get("terminal") else ()
    permitted = syscalls.capget()[1]
    try:
        return (
            *first,
            *plan_identity(process, seccomp=seccomp, permitted=permitted, die_with_parent=False),
        )
    except KeyError as error:
        raise InvalidError(f"unknown name in the container's configuration: {error.args[0]}") from None


def _enter(init_pidfd: int, report: int, manner: Manner, birth: int) -> tuple[int, int]:
    """In the intermediate child: join, then fork into the pid namespace. (pid, pidfd), or (0, -1) in the process."""
    try:
        if manner.before_joining is not None:
            manner.before_joining()
        # Not yet the cgroup namespace: from inside it nobody may be moved or born across its border (nsdelegate).
        namespaces.join_process(init_pidfd, manner.namespaces & ~k.CLONE_NEWCGROUP)
        return syscalls.clone3(k.CLONE_PARENT, cgroup_fd=birth)
    except BaseException as error:
        sync.send_failure(report, "enter the container's namespaces", error)
        os._exit(1)


def _await(
    near: socket.socket,
    report: socket.socket,
    errors: int,
    middle: int,
    init_pid: int,
    program: str,
    closing: list[int],
) -> ExecProcess:
    """In the caller: collect the process from the intermediate child, let it run. Raises StartError.

    `closing` are descriptors the process holds too: closed first, or their end would never be seen here.
    """
    while closing:
        fd = closing.pop()
        if fd >= 0:
            os.close(fd)
    try:
        pid, pidfd = sync.receive_process(report)
    except StartError as error:
        raise _gone(init_pid) if error.errno == 3 else error from None
    finally:
        os.waitpid(middle, 0)
    terminal = -1
    try:
        terminal = sync.receive_created(near)
        try:
            near.send(sync.GO)
        except OSError:
            pass  # it died; the error pipe ends and its pidfd tells
        sync.receive_exec(errors, program)
    except BaseException:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(pid, 0)
        for fd in (pidfd, terminal):
            if fd >= 0:
                os.close(fd)
        raise
    return ExecProcess(pid, pidfd, terminal)


def _gone(init_pid: int) -> StartError:
    return StartError(
        f"the container is not running any more (its first process was {init_pid})",
        step="enter the container's namespaces",
        errno=3,
        hint="start it again",
    )
