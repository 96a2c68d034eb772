"""Makes shims, from the command's side: by fork(2) from a light process, else through a fresh interpreter."""

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence

from runtime.errors import StartError
from runtime.shim import control
from runtime.shim.line import recall
from runtime.shim.task import ShimTask, task_to_json

# A shim forked from a process that has loaded these would carry tens of megabytes for its whole life.
_HEAVY_MODULES = ("yaml", "jsonschema", "networkx", "pyroute2", "typer", "pytest", "asyncio", "rich", "httpx")


class Launch:
    """A shim on its way. Wait until `fileno` is readable (or just call `finish`)."""

    __slots__ = ("_report", "name", "warnings")

    def __init__(self, name: str, report: socket.socket) -> None:
        self.name = name
        self._report = report
        self.warnings: tuple[str, ...] = ()

    def fileno(self) -> int:
        return self._report.fileno()

    def finish(self) -> int:
        """Wait for the outcome; the program's pid. Raises what kept it from starting as an EngineError.

        `warnings` then names the limits that this kernel cannot keep.
        """
        try:
            message = control.receive(self._report)
        finally:
            self._report.close()
        if message is None:
            raise StartError(f"container {self.name}: its supervisor died while starting it")
        if "error" in message:
            raise recall(message, f"container {self.name}: ")
        self.warnings = tuple(message["warnings"])
        return int(message["pid"])


def launch_all(tasks: Sequence[ShimTask], lock: int = -1) -> list[Launch]:
    """Start the shims of several containers; returns at once. `lock`: see `run_shim`.

    They are forked one right after the other: whatever this process wrote in between, each shim would keep a
    copy of for its whole life.
    """
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in tasks]
    launches = [Launch(task.spec.name, ours) for task, (ours, _) in zip(tasks, pairs, strict=True)]
    if _is_light():
        _fork_all(tasks, [theirs for _, theirs in pairs], lock)
    else:
        for task, (_, theirs) in zip(tasks, pairs, strict=True):
            _spawn(task, theirs)
    for _, theirs in pairs:
        theirs.close()
    return launches


def _is_light() -> bool:
    if any(name in sys.modules for name in _HEAVY_MODULES):
        return False
    return len(os.listdir("/proc/self/task")) == 1


def _fork_all(tasks: Sequence[ShimTask], reports: Sequence[socket.socket], lock: int) -> None:
    # The kernel reaps shims that end while this command still runs; nobody here waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    from runtime.shim.main import prepare, run_shim

    usual = prepare(tasks)
    for number in range(len(tasks)):
        if os.fork() == 0:
            run_shim(tasks[number], reports[number], lock)
    signal.pthread_sigmask(signal.SIG_SETMASK, usual)
    gc.enable()


def _spawn(task: ShimTask, theirs: socket.socket) -> None:
    package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = f"import sys; sys.path.append({package_root!r}); from runtime.shim.main import main; main()"
    reader, writer = os.pipe2(os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, reader, 0), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
    if theirs.fileno() == 3:
        # dup2 to itself would leave the close-on-exec flag set.
        os.set_inheritable(3, True)
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-I", "-c", program], dict(os.environ), file_actions=actions
    )
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        json.dump(task_to_json(task), stream)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass
