"""Queries passed on to other name servers, without threads and without waiting.

The host's own are asked from the host's network namespace, where alone 127.0.0.53 is who it is meant to be; those that
somebody chose for the container from the container's, so that they may be its neighbours or itself. Every query gets a
socket of its own: each has a random source port and answers of others can't be mistaken for its own. By UDP or, for
clients that came by TCP, by TCP.
"""

import os
import select
import socket
import time
from collections.abc import Callable

from runtime.linux.namespaces import socket_in
from runtime.network.dns.answer import is_answer_to, refuse
from runtime.network.etc_files import EMBEDDED_NAMESERVER, parse_resolv_conf

RESOLV_CONF = "/etc/resolv.conf"

_TRY_SECONDS = 2.0
_ROUNDS = 2
_MAX_PENDING = 256
_FAILURES = (2, 5)  # SERVFAIL, REFUSED
_MAX_MESSAGE = 65535


class _Pending:
    """One query under way at one name server."""

    __slots__ = ("buffer", "deadline", "original", "query", "reply", "sock", "tcp", "tries")

    def __init__(self, original: bytes, reply: Callable[[bytes], None], tcp: bool) -> None:
        self.original = original
        self.query = os.urandom(2) + original[2:]
        self.reply = reply
        self.tcp = tcp
        self.tries = 0
        self.buffer = b""
        self.deadline = 0.0
        self.sock: socket.socket | None = None


class HostServers:
    """The host's own name servers, read again when its resolv.conf has changed."""

    __slots__ = ("_path", "_servers", "_stamp")

    def __init__(self, path: str = RESOLV_CONF) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def addresses(self) -> tuple[str, ...]:
        """The present ones; the last known where the file is gone for a moment."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                with open(self._path, errors="replace") as file:
                    self._servers = parse_resolv_conf(file.read()).nameservers
                self._stamp = stamp
        except OSError:
            pass
        return self._servers


Upstreams = HostServers | tuple[str, ...]  # or addresses without port


class Forwarder:
    """Passes queries on. `namespace` is a descriptor of the host's network namespace, -1 = the present one.

    `reply` functions get the answer, SERVFAIL if no server has one. The
    owner watches `epoll` and calls `handle`, and `expire` in time.
    """

    def __init__(self, epoll: select.epoll, upstreams: Upstreams, namespace: int, port: int = 53) -> None:
        self._epoll = epoll
        self.upstreams = upstreams  # may be replaced at any time
        self._namespace = namespace
        self._port = port
        self._pending: dict[int, _Pending] = {}

    def close(self) -> None:
        for pending in list(self._pending.values()):
            self._drop(pending)

    def owns(self, fd: int) -> bool:
        return fd in self._pending

    def next_deadline(self) -> float | None:
        """When `expire` has something to do (time.monotonic()), None = never."""
        return min((pending.deadline for pending in self._pending.values()), default=None)

    def forward(self, query: bytes, reply: Callable[[bytes], None], *, tcp: bool) -> None:
        """Starts asking; the answer goes to `reply`, at once if there is nobody to ask."""
        if len(self._pending) >= _MAX_PENDING:
            self._fail(min(self._pending.values(), key=lambda pending: pending.deadline))
        self._ask(_Pending(query, reply, tcp))

    def expire(self) -> None:
        """Goes on to the next server for what has waited long enough."""
        now = time.monotonic()
        for pending in [p for p in self._pending.values() if p.deadline <= now]:
            self._drop(pending)
            self._ask(pending)

    def handle(self, fd: int, events: int) -> None:
        """Reads or writes what the descriptor is ready for."""
        pending = self._pending[fd]
        assert pending.sock is not None
        try:
            answer = self._step_tcp(pending, events) if pending.tcp else pending.sock.recv(_MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:  # refused, unreachable: the next server may do
            self._drop(pending)
            self._ask(pending)
            return
        if answer and is_answer_to(answer, pending.query):
            self._drop(pending)
            if answer[3] & 0xF in _FAILURES and pending.tries < len(self._addresses()):
                self._ask(pending)  # another one may know
            else:
                pending.reply(pending.original[:2] + answer[2:])

    def _step_tcp(self, pending: _Pending, events: int) -> bytes:
        """Sends the query once connected, then gathers the answer; b"" while it is not complete."""
        sock = pending.sock
        assert sock is not None
        if events & select.EPOLLOUT:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            sock.sendall(len(pending.query).to_bytes(2, "big") + pending.query)
            self._epoll.modify(sock.fileno(), select.EPOLLIN)
            return b""
        data = sock.recv(_MAX_MESSAGE)
        if not data:
            raise ConnectionResetError
        pending.buffer += data
        length = int.from_bytes(pending.buffer[:2], "big") + 2
        return pending.buffer[2:length] if len(pending.buffer) >= max(length, 3) else b""

    def _ask(self, pending: _Pending) -> None:
        """The next try of a query, or SERVFAIL when all servers have had theirs."""
        upstreams = self._addresses()
        while pending.tries < len(upstreams) * _ROUNDS:
            upstream = upstreams[pending.tries % len(upstreams)]
            pending.tries += 1
            try:
                self._start(pending, (upstream, self._port))
            except OSError:
                self._drop(pending)
                continue
            return
        pending.reply(refuse(pending.original, "SERVFAIL"))

    def _addresses(self) -> tuple[str, ...]:
        if isinstance(self.upstreams, HostServers):
            return self.upstreams.addresses()
        return tuple(address for address in self.upstreams if address != EMBEDDED_NAMESERVER)  # that is us

    def _start(self, pending: _Pending, upstream: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in upstream[0] else socket.AF_INET
        namespace = self._namespace if isinstance(self.upstreams, HostServers) else -1
        sock = socket_in(namespace, family, socket.SOCK_STREAM if pending.tcp else socket.SOCK_DGRAM)
        pending.sock = sock
        pending.buffer = b""
        pending.deadline = time.monotonic() + _TRY_SECONDS
        sock.setblocking(False)
        try:
            sock.connect(upstream)
        except BlockingIOError:
            pass
        if not pending.tcp:
            sock.send(pending.query)
        self._pending[sock.fileno()] = pending
        self._epoll.register(sock.fileno(), select.EPOLLOUT if pending.tcp else select.EPOLLIN)

    def _drop(self, pending: _Pending) -> None:
        if pending.sock is not None:
            fd = pending.sock.fileno()
            if self._pending.pop(fd, None) is not None:
                self._epoll.unregister(fd)
            pending.sock.close()
            pending.sock = None

    def _fail(self, pending: _Pending) -> None:
        self._drop(pending)
        pending.reply(refuse(pending.original, "SERVFAIL"))
