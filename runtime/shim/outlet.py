"""What a program prints, on its way to a client that is attached to it and may be slow."""

import os
import select
from collections.abc import Callable, Mapping

from runtime.shim.loop import WRITE, Loop


class Outlet:
    """One client's sockets, one for each stream it wants. Nothing is dropped: while `full` whoever feeds it must wait.

    `on_room` is called when it is not full any more, be it that the client has gone.
    """

    __slots__ = ("_ended", "_loop", "_on_room", "_pending", "_sockets")

    def __init__(self, loop: Loop, sockets: Mapping[int, int], on_room: Callable[[], None]) -> None:
        """`sockets`: stream -> descriptor, which is this object's from now on."""
        self._loop = loop
        self._sockets = dict(sockets)
        self._on_room = on_room
        self._pending: dict[int, bytes] = {}
        self._ended = False
        for descriptor in self._sockets.values():
            os.set_blocking(descriptor, False)

    @property
    def full(self) -> bool:
        return bool(self._pending)

    @property
    def gone(self) -> bool:
        """Whether the client has closed all its streams, or all has been delivered after `end`."""
        return not self._sockets

    def listening(self) -> bool:
        """Whether the client has not hung up."""
        poll = select.poll()
        for descriptor in self._sockets.values():
            poll.register(descriptor, 0)
        return bool(self._sockets) and not poll.poll(0)

    def write(self, stream: int, data: bytes) -> None:
        """Deliver a chunk, or keep what the client does not take yet."""
        descriptor = self._sockets.get(stream, -1)
        if descriptor < 0:
            return
        if descriptor in self._pending:
            self._pending[descriptor] += data
            return
        rest = self._send(descriptor, data)
        if rest:
            self._pending[descriptor] = rest
            self._loop.watch(descriptor, lambda: self._go_on(descriptor), WRITE)

    def _send(self, descriptor: int, data: bytes) -> bytes:
        try:
            return data[os.write(descriptor, data) :]
        except BlockingIOError:
            return data
        except OSError:
            self._close(descriptor)
            return b""

    def _go_on(self, descriptor: int) -> None:
        rest = self._send(descriptor, self._pending[descriptor])
        if rest:
            self._pending[descriptor] = rest
            return
        self._loop.forget(descriptor)
        self._pending.pop(descriptor, None)
        if self._ended and descriptor in self._sockets.values():
            self._close(descriptor)
        if not self._pending:
            self._on_room()

    def end(self) -> None:
        """Nothing more comes: each stream ends for the client once it has taken all."""
        self._ended = True
        for descriptor in list(self._sockets.values()):
            if descriptor not in self._pending:
                self._close(descriptor)

    def flush(self) -> None:
        """Deliver what is left, however long the client takes. For a process with nothing else to do."""
        self.end()
        for descriptor, data in list(self._pending.items()):
            os.set_blocking(descriptor, True)
            while data and descriptor in self._sockets.values():
                data = self._send(descriptor, data)
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        for stream, other in list(self._sockets.items()):
            if other == descriptor:
                del self._sockets[stream]
                self._loop.forget(descriptor)
                self._pending.pop(descriptor, None)
                os.close(descriptor)
