"""The program's standard streams: pipes, or its terminal, into the log and to whoever is attached."""

import errno
import os
from typing import NamedTuple

from runtime.shim.logs.record import STDERR, STDOUT
from runtime.shim.logs.writer import Writer
from runtime.shim.loop import Loop
from runtime.shim.outlet import Outlet

_READ_BYTES = 1 << 16


class Streams(NamedTuple):
    """A client's descriptors for a program's streams; -1 = it does not want that one.

    `stdin` is what the program reads; without one, and with a terminal, input goes another way (`Stdio.input`).
    """

    stdin: int = -1
    stdout: int = -1
    stderr: int = -1


class Stdio:
    """Streams of one run of the program. `child` are the descriptors for its 0, 1 and 2."""

    __slots__ = ("_held", "_inside", "_log", "_loop", "_outlets", "_sources", "child", "input")

    def __init__(
        self, loop: Loop, log: Writer, *, tty: bool, keep_stdin: bool, client: Streams | None = None
    ) -> None:
        """`client` is attached from the first byte on."""
        self._loop = loop
        self._log = log
        self._sources: dict[int, int] = {}
        self._outlets: list[Outlet] = []
        self._held = False
        self.input = -1  # what is written to it the program reads: its terminal, or a pipe
        self._inside: list[int] = []
        self.child = (0, 1, 2)
        if not tty:
            self._make_pipes(keep_stdin, -1 if client is None else client.stdin)
        if client is not None:
            self.attach(client)

    def _make_pipes(self, keep_stdin: bool, given: int) -> None:
        if given >= 0:
            reader = given
        elif keep_stdin:
            reader, self.input = os.pipe2(os.O_CLOEXEC)
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
            self.input = console
        for source in self._sources:
            self._watch(source)

    def attach(self, client: Streams) -> None:
        """Send what the program prints from now on to a client too; its sockets are this object's now."""
        wanted = {STDOUT: client.stdout, STDERR: client.stderr}
        sockets = {stream: descriptor for stream, descriptor in wanted.items() if descriptor >= 0}
        self._outlets.append(Outlet(self._loop, sockets, self._release))

    def _deliver(self, stream: int, data: bytes) -> None:
        full = False
        for outlet in list(self._outlets):
            outlet.write(stream, data)
            full = full or outlet.full
            if outlet.gone:
                self._outlets.remove(outlet)
        if full and not self._held:
            # As with a pipe: who prints faster than its reader reads has to wait.
            self._held = True
            for source in self._sources:
                self._loop.forget(source)

    def _release(self) -> None:
        if self._held and not any(outlet.full for outlet in self._outlets):
            self._held = False
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
            if self._outlets:
                self._deliver(self._sources[source], data)
            return True
        self._close_source(source)
        return False

    def _close_source(self, source: int) -> None:
        self._loop.forget(source)
        del self._sources[source]
        if source == self.input:
            self.input = -1
        os.close(source)

    def drain(self) -> list[Outlet]:
        """Read what the ended program left in the streams, then close all.

        Returns the clients that are still there. Those that are slow go on taking while the loop runs.
        """
        for source in list(self._sources):
            while source in self._sources and self._pump(source):
                pass
            if source in self._sources:
                self._close_source(source)
        attached = [outlet for outlet in self._outlets if outlet.listening()]
        self.close()
        return attached

    def close(self) -> None:
        self._held = False
        for outlet in self._outlets:
            outlet.end()
        if self.input >= 0 and self.input not in self._sources:
            os.close(self.input)
        self.input = -1
        for descriptor in (*self._inside, *self._sources):
            self._loop.forget(descriptor)
            os.close(descriptor)
        self._inside.clear()
        self._sources.clear()
