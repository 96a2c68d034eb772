"""Starts a container's first process. Called by the shim, which has made root filesystem, network and cgroup."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.container import init, reaper, sync
from runtime.container.child import Child, make_channel, settle
from runtime.container.setup import plan_first, plan_identity, plan_setup
from runtime.container.trampoline import open_trampoline
from runtime.errors import InvalidError, UnsupportedError
from runtime.linux import constants as k
from runtime.linux import namespaces, syscalls
from runtime.linux.capabilities import last_capability

if TYPE_CHECKING:
    import socket

    from runtime.cgroups.manager import Cgroup
    from runtime.container.setup import SetupStep
    from runtime.oci.spec import Spec


class Init:
    """A container's first process, a child of the caller. The caller owns `pidfd` and `console` and reaps `pid`.

    After a StartError of either method the process has been killed and reaped, and all descriptors are closed.
    One that was spawned `of_parent` is for the caller's parent to reap.
    """

    __slots__ = ("_channel", "_errors", "_of_parent", "_program", "console", "pid", "pidfd")

    def __init__(
        self, pid: int, pidfd: int, channel: socket.socket, errors: int, program: str, of_parent: bool
    ) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.console = -1
        self._channel = channel
        self._errors = errors
        self._of_parent = of_parent
        self._program = program

    def wait_created(self) -> None:
        """Wait until set-up is finished. Raises StartError with the failed step."""
        try:
            self.console = sync.receive_created(self._channel)
        except BaseException:
            self._abandon()
            raise

    def start(self) -> None:
        """Let the program run; returns when it has been exec'ed.

        Raises StartError: errno ENOENT (command not found, exit code 127), EACCES (126), or another of execve(2).
        """
        try:
            try:
                self._channel.send(sync.GO)
            except OSError:
                pass  # it died; the pipe says why, or the pidfd that it is gone
            self._channel.close()
            sync.receive_exec(self._errors, self._program)
        except BaseException:
            self._abandon()
            raise
        os.close(self._errors)
        self._errors = -1

    def _abandon(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if not self._of_parent:
            os.waitpid(self.pid, 0)
        self._channel.close()
        for fd in (self.pidfd, self._errors, self.console):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self._errors = self.console = -1


def plan_init(
    spec: Spec, *, rootfs: str, cgroup: Cgroup, seccomp_program: bytes | None
) -> tuple[SetupStep, ...]:
    """All steps of a start, for `--debug` and for `spawn_init`. Raises InvalidError for a name nobody knows."""
    for namespace in spec["linux"].get("namespaces", ()):
        kind = namespace["type"]
        if kind in ("user", "time") or (kind in ("mount", "cgroup", "uts") and "path" in namespace):
            raise UnsupportedError(
                f"a {kind} namespace {'of its own' if 'path' not in namespace else 'to be joined'} is not supported",
                hint="those of pid, ipc and network may be the caller's, the others are created",
            )
    try:
        return (
            *plan_first(spec),
            *plan_setup(spec, rootfs=rootfs, cgroup_mounts=cgroup.mounts()),
            *plan_identity(
                spec["process"],
                seccomp=seccomp_program,
                permitted=syscalls.capget()[1],
                die_with_parent=True,
            ),
        )
    except KeyError as error:
        raise InvalidError(f"unknown name in the container's configuration: {error.args[0]}") from None


def spawn_init(
    spec: Spec,
    *,
    rootfs: str,
    cgroup: Cgroup,
    stdio: tuple[int, int, int],
    init_process: bool,
    seccomp_program: bytes | None,
    preserve_fds: Sequence[int] = (),
    of_parent: bool = False,
) -> Init:
    """Create the first process in its namespaces; it sets itself up while the caller goes on.

    The caller is single-threaded, owns the mount namespace in which `rootfs` (absolute) is mounted, and is in
    the network namespace the container is to have. `stdio` are the descriptors for 0, 1, 2 (not used when the
    process has a terminal), `preserve_fds` follow from 3 on. With `init_process` a reaping pid 1 stands before
    the program. With `of_parent` the process is a child of the caller's parent, with which it dies.
    Raises OSError, InvalidError; later failures come from the methods of Init.
    """
    steps = plan_init(spec, rootfs=rootfs, cgroup=cgroup, seccomp_program=seccomp_program)
    process = spec["process"]
    # The caller has entered those that are joined, as it has the network's.
    wanted = {
        n["type"] for n in spec["linux"].get("namespaces", ()) if n["type"] != "network" and "path" not in n
    }
    flags = namespaces.flags_of(wanted) | k.CLONE_NEWNS | (k.CLONE_PARENT if of_parent else 0)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC) if process.get("terminal") else -1
    near, far = make_channel()
    errors, errors_far = os.pipe2(os.O_CLOEXEC)
    trampoline = open_trampoline(3 + len(preserve_fds))
    last, birth = last_capability(), -1
    try:
        birth = cgroup.open_for_birth()
        pid, pidfd = syscalls.clone3(flags & ~k.CLONE_NEWCGROUP, cgroup_fd=birth)
        if pid == 0:
            child = Child(last)
            try:
                settle()
                descriptors = (null, null, null) if null >= 0 else stdio
                child.arrange_descriptors(descriptors, preserve_fds, errors_far, far.fileno(), trampoline)
                _join_cgroup(child, cgroup, flags, born=birth >= 0)
                child.run_steps(steps, init.OPERATIONS)
                _run_program(child, process["args"], process.get("env", []), init_process)
            finally:
                os._exit(1)
    except BaseException:
        near.close()
        os.close(errors)
        raise
    finally:
        far.close()
        for fd in (errors_far, trampoline, null, birth):
            if fd >= 0:
                os.close(fd)
    return Init(pid, pidfd, near, errors, process["args"][0], of_parent)


def _join_cgroup(child: Child, cgroup: Cgroup, flags: int, *, born: bool) -> None:
    try:
        cgroup.join(born=born)
        if flags & k.CLONE_NEWCGROUP:
            # After joining: the namespace's root is the cgroup the process is in at this moment.
            syscalls.unshare(k.CLONE_NEWCGROUP)
    except BaseException as error:
        child.fail("join cgroup", error)


def _run_program(child: Child, args: list[str], environment: list[str], init_process: bool) -> None:
    child.report_created()
    if init_process:
        reaper.run_as_init(child, args, environment)
    child.exec_program(args, environment)
