"""Makes shims, from the command's side: by fork(2) from a light process, else through a fresh interpreter."""

import fcntl
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

from runtime.errors import StartError
from runtime.shim import control
from runtime.shim.interpreter import command_line
from runtime.shim.line import recall
from runtime.shim.stdio import Streams
from runtime.shim.task import ShimTask, task_to_json

# A shim forked from a process that has loaded these would carry tens of megabytes for its whole life.
_HEAVY_MODULES = ("yaml", "jsonschema", "networkx", "pyroute2", "typer", "pytest", "asyncio", "rich", "httpx")


class Launch:
    """A shim on its way. Wait until `fileno` is readable (or just call `finish`).

    Afterwards `console` is the program's terminal if a client was attached to one, else -1; it is the caller's.
    """

    __slots__ = ("_report", "console", "name", "warnings")

    def __init__(self, name: str, report: socket.socket) -> None:
        self.name = name
        self._report = report
        self.console = -1
        self.warnings: tuple[str, ...] = ()

    def fileno(self) -> int:
        return self._report.fileno()

    def finish(self) -> int:
        """Wait for the outcome; the program's pid. Raises what kept it from starting as an EngineError.

        `warnings` then names the limits that this kernel cannot keep.
        """
        try:
            message, descriptors = control.receive_with_descriptors(self._report)
        finally:
            self._report.close()
        if message is None:
            raise StartError(f"container {self.name}: its supervisor died while starting it")
        if "error" in message:
            raise recall(message, f"container {self.name}: ")
        if descriptors:
            self.console = descriptors[0]
        self.warnings = tuple(message["warnings"])
        return int(message["pid"])


def launch_all(
    tasks: Sequence[ShimTask], lock: int = -1, clients: Mapping[str, Streams] | None = None
) -> list[Launch]:
    """Start the shims of several containers; returns at once. `lock`: see `run_shim`.

    `clients`: container id -> streams of a client that is attached from the start.

    They are forked one right after the other: whatever this process wrote in between, each shim would keep a
    copy of for its whole life.
    """
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in tasks]
    launches = [Launch(task.spec.name, ours) for task, (ours, _) in zip(tasks, pairs, strict=True)]
    clients = clients or {}
    if _is_light():
        _fork_all(tasks, [theirs for _, theirs in pairs], lock, clients)
    else:
        for task, (_, theirs) in zip(tasks, pairs, strict=True):
            _spawn(task, theirs, clients.get(task.container_id))
    for _, theirs in pairs:
        theirs.close()
    return launches


def _is_light() -> bool:
    if any(name in sys.modules for name in _HEAVY_MODULES):
        return False
    return len(os.listdir("/proc/self/task")) == 1


def _fork_all(
    tasks: Sequence[ShimTask], reports: Sequence[socket.socket], lock: int, clients: Mapping[str, Streams]
) -> None:
    # The kernel reaps shims that end while this command still runs; nobody here waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    from runtime.shim.main import prepare, run_shim

    usual = prepare(tasks)
    for number in range(len(tasks)):
        if os.fork() == 0:
            run_shim(tasks[number], reports[number], lock, clients.get(tasks[number].container_id))
    signal.pthread_sigmask(signal.SIG_SETMASK, usual)
    gc.enable()


def _spawn(task: ShimTask, theirs: socket.socket, client: Streams | None) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # Copies above the numbers that are given out below; unlike the originals they survive the exec.
    copies = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs.fileno(), *(client or ())) if fd >= 0}
    words = command_line("runtime.shim.main", "main")
    if client is not None:
        words.append(",".join(str(copies.get(descriptor, -1)) for descriptor in client))
    actions = [
        (os.POSIX_SPAWN_DUP2, reader, 0),
        (os.POSIX_SPAWN_DUP2, copies[theirs.fileno()], 3),
        (os.POSIX_SPAWN_CLOSE, copies[theirs.fileno()]),
    ]
    child = os.posix_spawn(words[0], words, dict(os.environ), file_actions=actions)
    for copy in copies.values():
        os.close(copy)
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        json.dump(task_to_json(task), stream)
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass
