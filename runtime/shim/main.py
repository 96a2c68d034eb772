"""The shim's process: it detaches from the command that made it, makes the container's world and serves it.

command                                shim
   │ fork ────────────────────────────► close all descriptors but report and lock, setsid, own cgroup
   │                                    namespaces; a builder makes the rest and starts the program
   │ ◄──────────── {"ok":true,"pid":N}  the program has been exec'ed: the container runs
   │ ◄──────────── {"error":…,"step":…} it could not be started; everything is taken away again
"""

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

from runtime.cgroups.manager import open_cgroup
from runtime.linux.syscalls import close_range, malloc_trim
from runtime.shim import line
from runtime.shim.builder import warm_seccomp
from runtime.shim.stdio import Streams
from runtime.shim.supervisor import Supervisor, failure_code
from runtime.shim.task import ShimTask, task_from_json
from runtime.shim.world import World
from runtime.store.files import remove_file, remove_tree

_HIGHEST_DESCRIPTOR = 0xFFFFFFFF
_BLOCKED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1)


def prepare(tasks: Sequence[ShimTask]) -> set[int | signal.Signals]:
    """Do once, before shims are forked, what each would otherwise do (and keep the memory of) for itself.

    Returns the signals that were blocked before: a shim blocks what it does not want to hear, or reads (SIGTERM).
    """
    open_cgroup("")
    for task in tasks:
        warm_seccomp(task)
    # What the parent has made must not be finalised in a shim: its descriptors' numbers are used anew there.
    gc.freeze()
    gc.disable()
    return signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)


def run_shim(
    task: ShimTask, report: socket.socket, lock: int = -1, client: Streams | None = None
) -> NoReturn:
    """Be the shim of `task` until its container has ended; never returns. `report` gets one message.

    `lock` is the descriptor of the command's lock, kept until the start is over: should the command be killed
    meanwhile, the next one waits for this start instead of meeting it half done. `client` is attached from the start.
    """
    code = 1
    try:
        _detach(task, [fd for fd in (report.fileno(), lock, *(client or ())) if fd >= 0])
        _supervise(task, report, lock, client)
        code = 0
    except BaseException as error:
        _report(report, json.dumps({"error": str(error) or repr(error)}).encode())
    finally:
        os._exit(code)


def _detach(task: ShimTask, kept: list[int]) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    first = 3
    for descriptor in (*sorted(kept), _HIGHEST_DESCRIPTOR + 1):
        if first < descriptor:
            close_range(first, descriptor - 1)
        first = descriptor + 1
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    shims = open_cgroup(f"{task.paths.cgroup_parent}/shim")
    shims.create({})
    shims.join()


def _supervise(task: ShimTask, report: socket.socket, lock: int, client: Streams | None) -> None:
    world = World(task)
    supervisor = Supervisor(task, world)
    failure: BaseException | None = None
    try:
        world.enter()
        supervisor.start(client)
        _report(report, world.report, supervisor.input if client is not None and task.spec.tty else -1)
        report.close()
        if lock >= 0:
            os.close(lock)
        malloc_trim()
        supervisor.run()
    except BaseException as error:
        failure = error
    if world.lock >= 0:
        if failure is None:
            supervisor.end()
        else:
            supervisor.end(error=str(failure), code=failure_code(failure))
        _clear(task.paths.live(task.container_id))
    attended = supervisor.flush()
    if failure is None and task.spec.auto_remove and not attended:
        world.remove()
    if failure is not None:
        _report(report, json.dumps(line.describe(failure)).encode())


def _clear(directory: str) -> None:
    # The lock goes last and stays held by this process until it has ended.
    for name in ("state.json", "health.json", "control.sock"):
        remove_file(f"{directory}/{name}")
    remove_tree(f"{directory}/etc")
    remove_file(f"{directory}/lock")
    try:
        os.rmdir(directory)
    except OSError:
        # A command is taking the lock at this moment; it clears the folder.
        pass


def _report(report: socket.socket, message: bytes, console: int = -1) -> None:
    try:
        if console >= 0:
            socket.send_fds(report, [message], [console])
        else:
            report.send(message)
    except OSError:
        # Nobody listens any more (the command was killed): the container goes on all the same.
        pass


def main() -> NoReturn:
    """Entry of a shim in a fresh interpreter: the task is on standard input, the report socket is 3.

    The argument, if there is one, lists the descriptors of an attached client's streams.
    """
    task = task_from_json(json.load(sys.stdin))
    client = Streams(*map(int, sys.argv[1].split(","))) if len(sys.argv) > 1 else None
    prepare([task])
    if os.fork():
        os._exit(0)
    run_shim(task, socket.socket(fileno=3), client=client)
