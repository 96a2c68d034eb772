"""Runs further programs in running containers: attached to this process, or in the background under the shim."""

import errno
import os
import select
import signal
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from runtime.cgroups.manager import open_cgroup
from runtime.container.exec import exec_process, manner_of, spawn_exec
from runtime.engine.job import Job, Report
from runtime.errors import StartError, StateError
from runtime.linux.pidfd import has_exited, open_checked
from runtime.linux.seccomp import load_program
from runtime.oci.spec import Process, Spec
from runtime.shim import control
from runtime.shim.state import PAUSED, LiveState

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine

_LONGEST_LINE_BYTES = 1 << 16


class ExecRequest(NamedTuple):
    """What to run. `env` entries are "NAME=VALUE"; empty `user` and `cwd` mean the container's."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    cwd: str = ""
    tty: bool = False
    privileged: bool = False


def run_attached(engine: "Engine", container: "Container", request: ExecRequest) -> int:
    """Run a program with this process's standard streams; its exit code, 128+n if a signal ended it.

    Raises StateError if the container does not run, StartError if the program cannot be started.
    """
    live = _running(container)
    # A command that has started shims lets the kernel reap its children; this one's exit code is wanted.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pidfd = open_checked(live.pid, live.pid_start)
    try:
        spec = cast(Spec, engine.containers.oci_spec(container.id))
        profile = spec["linux"].get("seccomp")
        process = _process(spec, request, live.pid)
        if request.tty:
            size = os.get_terminal_size(0)
            process["consoleSize"] = {"height": size.lines, "width": size.columns}
        started = spawn_exec(
            process,
            init_pid=live.pid,
            init_pidfd=pidfd,
            cgroup=open_cgroup(engine.containers.cgroup_path(container)),
            stdio=(0, 1, 2),
            seccomp_program=None if request.privileged else load_program(profile, engine.paths.cache),
            manner=manner_of(spec, process, live.pid),
        )
    finally:
        os.close(pidfd)
    if started.console >= 0:
        from runtime.engine.terminal_relay import relay

        relay(started.console, started.pidfd)
        _, status = os.waitpid(started.pid, 0)
    else:
        # Ctrl-C reaches the program too, which is in this process group; its answer counts, not ours.
        usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            _, status = os.waitpid(started.pid, 0)
        finally:
            signal.signal(signal.SIGINT, usual)
    return _exit_code(status)


def begin_captured(engine: "Engine", container: "Container", request: ExecRequest) -> Job:
    """Start a program whose output comes as the job's news, {"line": TEXT}; the job's outcome is its exit code.

    Raises StateError if the container does not run; the job ends with StateError if it has ended meanwhile, with
    StartError if the program can't be started.
    """
    live = _running(container)
    spec = cast(Spec, engine.containers.oci_spec(container.id))
    cgroup = engine.containers.cgroup_path(container)
    cache = engine.paths.cache

    def work(report: Report) -> int:
        # The interrupt key of the terminal is for the command, not for the program.
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        seccomp = None if request.privileged else load_program(spec["linux"].get("seccomp"), cache)
        try:
            pidfd = open_checked(live.pid, live.pid_start)
            process = _process(spec, request, live.pid)
            started = spawn_exec(
                process,
                init_pid=live.pid,
                init_pidfd=pidfd,
                cgroup=open_cgroup(cgroup),
                stdio=(null, writer, writer),
                seccomp_program=seccomp,
                manner=manner_of(spec, process, live.pid),
            )
        except (ProcessLookupError, StartError) as error:
            if isinstance(error, StartError) and error.errno != errno.ESRCH:
                raise
            raise StateError(f"container {container.name} has ended") from None
        os.close(writer)
        _report_lines(reader, started.pidfd, report)
        code = _exit_code(os.waitpid(started.pid, 0)[1])
        if code and has_exited(pidfd):
            raise StateError(f"container {container.name} has ended meanwhile")
        return code

    return Job(f"exec in {container.name}", work)


def _report_lines(reader: int, pidfd: int, report: Report) -> None:
    """Pass on lines until the program has ended; what it left in the background may hold the pipe for longer."""
    os.set_blocking(reader, False)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    pending = b""
    open_end = running = True
    while running:
        running = all(descriptor != pidfd for descriptor, _ in poll.poll())
        while open_end:
            try:
                data = os.read(reader, 1 << 16)
            except BlockingIOError:
                break
            if not data:
                open_end = False
                poll.unregister(reader)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                report({"line": line.decode(errors="replace")})
            if len(pending) > _LONGEST_LINE_BYTES:
                report({"line": pending.decode(errors="replace")})
                pending = b""
    if pending:
        report({"line": pending.decode(errors="replace")})


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def run_detached(engine: "Engine", container: "Container", request: ExecRequest) -> int:
    """Start a program in the background; its pid. Raises StateError, StartError."""
    live = _running(container)
    spec = cast(Spec, engine.containers.oci_spec(container.id))
    process: dict[str, Any] = dict(_process(spec, request, live.pid))
    answer = control.request(
        engine.containers.live_directory(container.id), {"op": "exec", "process": process}
    )
    if answer is None:
        raise StateError(f"container {container.name} is not running")
    if "error" in answer:
        raise StartError(str(answer["error"]))
    return int(answer["pid"])


def _running(container: "Container") -> LiveState:
    live = container.live
    if live is None or not live.pid:
        raise StateError(f"container {container.name} is not running")
    if live.status == PAUSED:
        raise StateError(f"container {container.name} is paused", hint="`pycompose unpause` it before")
    return live


def _process(spec: Spec, request: ExecRequest, pid: int) -> Process:
    return exec_process(
        spec,
        request.args,
        env=_variables(request.env),
        cwd=request.cwd,
        user=request.user or None,
        privileged=request.privileged,
        tty=request.tty,
        root=f"/proc/{pid}/root",
    )


def _variables(entries: tuple[str, ...]) -> list[tuple[str, str]]:
    """NAME=VALUE, or NAME alone for this process's own value, as `docker exec -e` has it."""
    found = []
    for entry in entries:
        name, separator, value = entry.partition("=")
        if separator:
            found.append((name, value))
        elif name in os.environ:
            found.append((name, os.environ[name]))
    return found
