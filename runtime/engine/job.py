"""Long, heavy work (a pull, a build) in a process of its own, so that the command stays light and can follow several.

The work's imports (HTTP, TLS, archives) never reach the command, from which shims are forked. Its progress and its
outcome come as lines of JSON. It dies with the command.
"""

import json
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.errors import EngineError, StateError

Report = Callable[[Mapping[str, Any]], None]
Work = Callable[[Report], Any]


class Job:
    """One piece of work under way. Wait until `fileno` is readable, call `read`, until `done`; then `finish`."""

    __slots__ = ("_error", "_outcome", "_pending", "_pid", "_reader", "done", "name")

    def __init__(self, name: str, work: Work) -> None:
        self.name = name
        self.done = False
        self._pending = b""
        self._outcome: Any = None
        self._error: EngineError | None = None
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _be_worker(writer, parent, work)
        os.close(writer)

    def fileno(self) -> int:
        return self._reader

    def read(self) -> list[dict[str, Any]]:
        """What the work has told since the last call; blocks if there is nothing yet."""
        data = os.read(self._reader, 1 << 16)
        *lines, self._pending = (self._pending + data).split(b"\n")
        news = []
        for line in lines:
            message = json.loads(line)
            if "progress" in message:
                news.append(message["progress"])
            elif "error" in message:
                self._error = _revive(message)
            else:
                self._outcome = message["outcome"]
        if not data:
            self.done = True
        return news

    def finish(self, report: Report = lambda _: None) -> Any:
        """Wait for the end; the outcome. Raises what the work raised, as an EngineError."""
        try:
            while not self.done:
                for news in self.read():
                    report(news)
        except BaseException:
            self.cancel()
            raise
        os.close(self._reader)
        _reap(self._pid)
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            raise StateError(f"{self.name}: the process that did it died", hint="is there enough memory?")
        return self._outcome

    def cancel(self) -> None:
        """End the work, which takes away what it has made, and wait until it is gone."""
        from runtime.image.workers import end_child

        try:
            os.kill(self._pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        end_child(self._pid)
        if not self.done:
            os.close(self._reader)
            self.done = True


class FinishedJob(Job):
    """Work that was found to be done already: what it has to tell is there at once."""

    __slots__ = ("_news",)

    def __init__(self, name: str, outcome: Any, news: Sequence[Mapping[str, Any]] = ()) -> None:
        self.name = name
        self.done = False
        self._news = [dict(item) for item in news]
        self._outcome = outcome
        self._reader = os.eventfd(1, os.EFD_CLOEXEC)  # readable from the beginning

    def read(self) -> list[dict[str, Any]]:
        self.done = True
        news, self._news = self._news, []
        return news

    def finish(self, report: Report = lambda _: None) -> Any:
        for news in self.read():
            report(news)
        os.close(self._reader)
        return self._outcome

    def cancel(self) -> None:
        if not self.done:
            os.close(self._reader)
            self.done = True


def wait_for_any(jobs: "list[Job]") -> "list[Job]":
    """Those of some jobs that have something to read; blocks until one has."""
    poll = select.poll()
    by_descriptor = {job.fileno(): job for job in jobs}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return [by_descriptor[descriptor] for descriptor, _ in poll.poll()]


def _be_worker(writer: int, parent: int, work: Work) -> None:
    code = 1
    try:
        from runtime.linux.syscalls import close_range

        # A lock or a pipe of the command must not live on here.
        os.dup2(writer, 3, inheritable=False) if writer != 3 else None
        close_range(4)
        from runtime.image.workers import die_with, preserve

        die_with(parent)

        def tell(progress: Mapping[str, Any]) -> None:
            _send({"progress": progress})

        try:
            _send({"outcome": work(tell)})
            code = 0
        except BaseException as error:
            _send(preserve(error))
    finally:
        os._exit(code)


def _send(message: Mapping[str, Any]) -> None:
    view = memoryview(json.dumps(message).encode() + b"\n")
    while view:
        view = view[os.write(3, view) :]


def _revive(message: Mapping[str, Any]) -> EngineError:
    from runtime.image.workers import revive

    return revive(message)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        # Where SIGCHLD is ignored the kernel reaps.
        pass
