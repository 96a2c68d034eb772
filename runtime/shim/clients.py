"""Whoever talks to a shim by its control.sock: commands, and those who want to be told news (`shim.control`)."""

import socket
from collections.abc import Callable
from typing import Any

from runtime.errors import EngineError
from runtime.shim import control
from runtime.shim.loop import Loop

# A message and the descriptors that came with it. Raises EngineError, OSError, KeyError, TypeError or ValueError for
# one that can't be obeyed, which is then the answer.
Handler = Callable[[socket.socket, dict[str, Any], list[int]], None]


class Clients:
    """Accepts them, passes on what they say, and drops those that are gone. `open` begins it."""

    __slots__ = ("_connected", "_handler", "_loop", "_server", "_subscribers")

    def __init__(self, loop: Loop, handler: Handler) -> None:
        self._loop = loop
        self._handler = handler
        self._server: socket.socket | None = None
        self._connected: dict[int, socket.socket] = {}
        self._subscribers: set[int] = set()

    def open(self, listening: int) -> None:
        """Serve the descriptor of a listening socket."""

        def accept() -> None:
            if self._server is None:
                self._server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, listening)
            self._accept(self._server)

        self._loop.watch(listening, accept)

    def answer(self, client: socket.socket, message: dict[str, Any]) -> None:
        try:
            control.send(client, message)
        except OSError:
            # Gone, or so slow that its buffer is full: it must not hold the container up.
            self._drop(client)

    def subscribe(self, client: socket.socket) -> None:
        """From now on it hears what `tell` tells."""
        self._subscribers.add(client.fileno())

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to all who have subscribed."""
        for descriptor in list(self._subscribers):
            self.answer(self._connected[descriptor], message)

    def _accept(self, server: socket.socket) -> None:
        try:
            client, _ = server.accept()
        except BlockingIOError:
            return
        client.setblocking(False)
        self._connected[client.fileno()] = client
        self._loop.watch(client.fileno(), lambda: self._serve(client))

    def _serve(self, client: socket.socket) -> None:
        try:
            message, descriptors = control.receive_with_descriptors(client)
        except BlockingIOError:
            return
        except (EngineError, OSError):
            message, descriptors = None, []
        if message is None:
            self._drop(client)
            return
        try:
            self._handler(client, message, descriptors)
        except (EngineError, OSError, KeyError, TypeError, ValueError) as error:
            self.answer(client, {"error": str(error) or repr(error)})

    def _drop(self, client: socket.socket) -> None:
        descriptor = client.fileno()
        self._loop.forget(descriptor)
        self._connected.pop(descriptor, None)
        self._subscribers.discard(descriptor)
        client.close()
