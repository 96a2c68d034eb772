"""The program's standard streams: pipes, or its terminal, into the log."""

import errno
import os

from runtime.shim.logs.record import STDERR, STDOUT
from runtime.shim.logs.writer import LogWriter
from runtime.shim.loop import Loop

_READ_BYTES = 1 << 16


class Stdio:
    """Streams of one run of the program. `child` are the descriptors for its 0, 1 and 2."""

    __slots__ = ("_inside", "_log", "_loop", "_sources", "_stdin_writer", "child")

    def __init__(self, loop: Loop, log: LogWriter, *, tty: bool, keep_stdin: bool) -> None:
        self._loop = loop
        self._log = log
        self._sources: dict[int, int] = {}
        self._stdin_writer = -1
        self._inside: list[int] = []
        self.child = (0, 1, 2)
        if not tty:
            self._make_pipes(keep_stdin)

    def _make_pipes(self, keep_stdin: bool) -> None:
        if keep_stdin:
            reader, self._stdin_writer = os.pipe2(os.O_CLOEXEC)
        else:
            reader = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._inside.append(reader)
        for stream in (STDOUT, STDERR):
            source, sink = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(source, False)
            self._sources[source] = stream
            self._inside.append(sink)
        self.child = (self._inside[0], self._inside[1], self._inside[2])

    def started(self, console: int) -> None:
        """The program runs: let go of its ends and read ours. `console` is the terminal's master or -1."""
        for descriptor in self._inside:
            os.close(descriptor)
        self._inside.clear()
        if console >= 0:
            os.set_blocking(console, False)
            self._sources[console] = STDOUT
        for source in self._sources:
            self._watch(source)

    def _watch(self, source: int) -> None:
        def pump() -> None:
            self._pump(source)

        self._loop.watch(source, pump)

    def _pump(self, source: int) -> bool:
        """Move one chunk into the log; False where there is nothing (more) to read."""
        try:
            data = os.read(source, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            # A terminal whose last user has gone answers EIO.
            if error.errno != errno.EIO:
                raise
            data = b""
        if data:
            self._log.write(self._sources[source], data)
            return True
        self._close_source(source)
        return False

    def _close_source(self, source: int) -> None:
        self._loop.forget(source)
        del self._sources[source]
        os.close(source)

    def drain(self) -> None:
        """Read what the ended program left in the streams, then close all."""
        for source in list(self._sources):
            while source in self._sources and self._pump(source):
                pass
            if source in self._sources:
                self._close_source(source)
        self.close()

    def close(self) -> None:
        for descriptor in (*self._inside, *self._sources):
            self._loop.forget(descriptor)
            os.close(descriptor)
        self._inside.clear()
        self._sources.clear()
        if self._stdin_writer >= 0:
            os.close(self._stdin_writer)
            self._stdin_writer = -1
