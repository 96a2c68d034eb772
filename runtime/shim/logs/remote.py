"""Messages on their way to a daemon, syslog or journald, that may be slow or gone for a while."""

import os
import select
import socket
import time
from collections import deque

from runtime.errors import StartError
from runtime.linux.namespaces import socket_in
from runtime.oci.logging import Address
from runtime.shim.loop import WRITE, Loop

_CONNECT_S = 5.0
_FIRST_RETRY_NS = 1_000_000_000
_LONGEST_RETRY_NS = 30_000_000_000
_LAST_WORDS_S = 2.0


class Outgoing:
    """A connection with a bounded queue. What does not fit is dropped: the container never waits for a daemon.

    It is made in the host's network namespace, before the shim leaves that, and finds back to it when it connects anew.
    """

    __slots__ = (
        "_address",
        "_buffer_bytes",
        "_loop",
        "_namespace",
        "_queue",
        "_queued",
        "_retry_ns",
        "_socket",
    )

    def __init__(self, loop: Loop, address: Address, buffer_bytes: int) -> None:
        """Raises StartError if the daemon can't be reached."""
        self._loop = loop
        self._buffer_bytes = buffer_bytes
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._retry_ns = _FIRST_RETRY_NS
        self._namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._socket: socket.socket | None = None
        try:
            self._address = _resolve(address)
            self._socket = self._open()
            self._socket.settimeout(_CONNECT_S)
            self._connect(self._socket)
            self._socket = self._secure(self._socket)
            self._socket.setblocking(False)
        except OSError as error:
            place = f"{address.host}:{address.port}" if address.port else address.host
            raise StartError(
                f"the log daemon at {place} can not be reached: {error.strerror or error}",
                hint="is it running? See the service's logging options",
            ) from None

    @property
    def stream(self) -> bool:
        """Whether messages have to mark their ends."""
        return self._socket is not None and self._socket.type == socket.SOCK_STREAM

    def _open(self) -> socket.socket:
        kind, host, _ = self._address
        if kind in ("unix", "unixgram"):
            return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket_in(self._namespace, family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)

    def _connect(self, connection: socket.socket) -> None:
        kind, host, port = self._address
        connection.connect(host if kind in ("unix", "unixgram") else (host, port))

    def _secure(self, connection: socket.socket) -> socket.socket:
        """The first connection, which can wait, as messages are sent on it. Raises OSError."""
        return connection

    def _say_goodbye(self, connection: socket.socket) -> None:
        """What is to be done before a connection is closed with nothing left to send."""

    def send(self, message: bytes) -> None:
        """Send, queue or drop one message."""
        if self._queue or self._socket is None or not self._try(message):
            if self._queued + len(message) > self._buffer_bytes:
                return
            self._queue.append(message)
            self._queued += len(message)

    def _try(self, message: bytes) -> bool:
        """Whether the message is off, or at least its beginning, whose rest is then the first of the queue."""
        if self._socket is None:
            return False
        try:
            sent = self._send(self._socket, message)
        except BlockingIOError:
            self._await_room()
            return False
        except OSError:
            return self._lost(message)
        if sent < len(message):
            self._queue.appendleft(message[sent:])
            self._queued += len(message) - sent
            self._await_room()
        return True

    @staticmethod
    def _send(connection: socket.socket, message: bytes) -> int:
        return connection.send(message)

    def _await_room(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._loop.watch(self._socket.fileno(), self._go_on, WRITE)

    def _go_on(self) -> None:
        while self._queue:
            first = self._queue.popleft()
            self._queued -= len(first)
            waiting = len(self._queue)
            if not self._try(first):
                self._queue.appendleft(first)
                self._queued += len(first)
                return
            if len(self._queue) > waiting:
                return  # only a part of it went
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())

    def _lost(self, message: bytes) -> bool:
        """The daemon is gone (or a datagram can't go); connect again, later. True = do without this message."""
        if self._socket is not None and self._address.kind == "udp":
            return True  # an ICMP error about an earlier one: UDP has no connection to lose
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._loop.at("log daemon", self._retry_ns, self._reconnect)
        self._retry_ns = min(self._retry_ns * 2, _LONGEST_RETRY_NS)
        return False

    def _reconnect(self) -> None:
        connection: socket.socket | None = None
        try:
            connection = self._open()
            connection.setblocking(False)
            self._connect(connection)
        except BlockingIOError:
            pass  # a message tells whether it came about
        except OSError:
            if connection is not None:
                connection.close()
            self._lost(b"")
            return
        assert connection is not None
        self._socket = connection
        self._loop.watch(connection.fileno(), self._on_connected, WRITE)

    def _on_connected(self) -> None:
        if self._socket is None:
            return
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost(b"")
            return
        self._begin()

    def _begin(self) -> None:
        """The connection has come about anew."""
        self._retry_ns = _FIRST_RETRY_NS
        self._go_on()

    def close(self) -> None:
        """Give the daemon a moment for what is left."""
        deadline = time.monotonic() + _LAST_WORDS_S
        while self._queue and self._socket is not None and time.monotonic() < deadline:
            select.select([], [self._socket], [], max(0.0, deadline - time.monotonic()))
            self._go_on()
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._say_goodbye(self._socket)
            self._socket.close()
        self._loop.cancel("log daemon")
        os.close(self._namespace)


def _resolve(address: Address) -> Address:
    if not address.port or address.host.replace(".", "").isdigit() or ":" in address.host:
        return address
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return address._replace(host=str(found[0][4][0]))
