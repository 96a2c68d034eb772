"""Work on several things at once, each in a process of its own: unpacking is bound by the interpreter.

A worker is a fork of the caller. It tells its progress and its outcome as lines of JSON, dies with the caller, and
an exception of it is raised by the caller.
"""

import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from runtime.errors import EngineError, ImageError
from runtime.linux import constants as k
from runtime.linux import syscalls

Report = Callable[[Mapping[str, Any]], None]
_T = TypeVar("_T")
_PATIENCE_S = 5.0


def run_parallel(
    tasks: Sequence[_T],
    work: Callable[[_T, Report], dict[str, Any]],
    report: Report,
    *,
    workers: int,
) -> list[dict[str, Any]]:
    """The outcome of `work` for every task, in their order. Raises the first failure, after ending the others."""
    outcomes: list[dict[str, Any] | None] = [None] * len(tasks)
    waiting = list(range(len(tasks)))
    running: dict[int, int] = {}  # descriptor -> pid
    pending: dict[int, bytes] = {}
    numbers: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    number = waiting.pop(0)
                    pid, reader = _spawn(tasks[number], work)
                    running[reader], pending[reader], numbers[reader] = pid, b"", number
                    selector.register(reader, selectors.EVENT_READ)
                for key, _ in selector.select():
                    data = os.read(key.fd, 1 << 16)
                    *lines, pending[key.fd] = (pending[key.fd] + data).split(b"\n")
                    for line in lines:
                        outcome = _take(json.loads(line), report)
                        if outcome is not None:
                            outcomes[numbers[key.fd]] = outcome
                    if not data:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        _reap(running.pop(key.fd))
                        if outcomes[numbers[key.fd]] is None:
                            raise ImageError(
                                "a process that unpacked a layer died", hint="is there enough memory?"
                            )
        finally:
            for pid in running.values():
                os.kill(pid, signal.SIGTERM)
            for reader, pid in running.items():
                end_child(pid)
                os.close(reader)
    return [outcome for outcome in outcomes if outcome is not None]


def _take(message: Mapping[str, Any], report: Report) -> dict[str, Any] | None:
    if "progress" in message:
        report(message["progress"])
        return None
    if "error" in message:
        raise revive(message)
    return dict(message["outcome"])


def _spawn(task: _T, work: Callable[[_T, Report], dict[str, Any]]) -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    code = 1
    try:
        die_with(parent)

        def tell(progress: Mapping[str, Any]) -> None:
            _send(writer, {"progress": progress})

        _send(writer, {"outcome": work(task, tell)})
        code = 0
    except BaseException as error:
        _send(writer, preserve(error))
    finally:
        os._exit(code)


def die_with(parent: int) -> None:
    """In a forked child: end when `parent` does, whatever ends it. SIGINT and SIGTERM leave time to clean up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _send(writer: int, message: Mapping[str, Any]) -> None:
    view = memoryview(json.dumps(message).encode() + b"\n")
    while view:
        view = view[os.write(writer, view) :]


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def end_child(pid: int) -> None:
    """Wait for a child that was asked to end, at most `_PATIENCE_S`, then kill it."""
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.01)
    except (ChildProcessError, ProcessLookupError):
        pass


def preserve(error: BaseException) -> dict[str, Any]:
    """An error as a message for another process."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return {
        "error": (str(error) or repr(error)) + notes,
        "kind": type(error).__name__,
        "hint": getattr(error, "hint", ""),
        "line": getattr(error, "line", 0),
    }


def revive(message: Mapping[str, Any]) -> EngineError:
    """The inverse of `preserve`; an error that is not of this package comes out as an ImageError."""
    kind = _kinds().get(str(message.get("kind")), ImageError)
    error = kind(str(message["error"]), hint=str(message.get("hint", "")))
    if hasattr(error, "line"):  # of a Dockerfile
        error.line = int(message.get("line", 0))
    return error


def _kinds() -> dict[str, type[EngineError]]:
    found: dict[str, type[EngineError]] = {"EngineError": EngineError}
    waiting = [EngineError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind.__name__ != "StartError":
                found[kind.__name__] = kind
                waiting.append(kind)
    return found
