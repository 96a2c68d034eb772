"""Carries connections to published ports where the kernel's NAT can't, run by the container's shim.

That is ::1, which IPv6 does not translate, and any port of one family that leads to a container which has only
the other. Everything else never gets here. TCP and UDP, without threads and without waiting; memory is bounded,
since nothing is read before what was read last has been passed on.
"""

import errno
import select
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

from runtime.linux.namespaces import socket_in
from runtime.network.ipam import is_ipv6
from runtime.network.record import Endpoint

PROTOCOLS = ("tcp", "udp")
_CHUNK = 1 << 16
_MOST_CONNECTIONS = 1024
_UDP_IDLE_SECONDS = 90.0  # as the reference's proxy
_BACKLOG = 128
# Datagrams or chunks taken at once before other sockets have their turn.
_BURST = 64


class Forward(NamedTuple):
    """One port to serve: a bound socket of the host's and where its traffic goes."""

    listener: socket.socket
    address: str
    port: int


class _Flow:
    """One direction of a TCP connection: what has been read of `source` and is still to be written to `target`."""

    __slots__ = ("data", "done", "ended", "source", "target")

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.data = b""
        self.ended = False  # the source has said all
        self.done = False  # and the target knows

    def move(self) -> None:
        """Read and write what is possible without waiting. Raises OSError."""
        try:
            for _ in range(_BURST):
                if not self.data and not self.ended:
                    self.data = self.source.recv(_CHUNK)
                    self.ended = not self.data
                if self.data:
                    self.data = self.data[self.target.send(self.data) :]
                if self.ended and not self.data:
                    break
        except BlockingIOError:
            return
        if self.ended and not self.data and not self.done:
            self.done = True
            self.target.shutdown(socket.SHUT_WR)


class _Connection:
    """A TCP client and its connection to the container."""

    __slots__ = ("connected", "flows", "sockets")

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sockets = (client, server)
        self.flows = (_Flow(client, server), _Flow(server, client))
        self.connected = False

    def events(self, sock: socket.socket) -> int:
        """What to wait for at one of the two sockets."""
        if not self.connected:
            return select.EPOLLOUT if sock is self.sockets[1] else 0
        wanted = 0
        for flow in self.flows:
            if flow.source is sock and not flow.data and not flow.ended:
                wanted |= select.EPOLLIN
            if flow.target is sock and flow.data:
                wanted |= select.EPOLLOUT
        return wanted


class _Peer:
    """A UDP client: the socket that speaks to the container for it."""

    __slots__ = ("address", "deadline", "listener", "sock")

    def __init__(self, sock: socket.socket, listener: socket.socket, address: tuple[str, int]) -> None:
        self.sock = sock
        self.listener = listener
        self.address = address
        self.deadline = 0.0


class Proxy:
    """Watch `filenos()`, call `handle` when it is readable and `expire` at `next_deadline()`. Raises OSError.

    `host_namespace` is a descriptor of the host's network namespace, from which the container is reached; it stays
    the caller's, the listeners become the proxy's.
    """

    def __init__(self, forwards: Sequence[Forward], host_namespace: int) -> None:
        self._namespace = host_namespace
        self._epoll = select.epoll()
        self._forwards: dict[int, Forward] = {}
        self._connections: dict[int, _Connection] = {}
        self._peers: dict[int, _Peer] = {}
        self._by_client: dict[tuple[int, tuple[str, int]], _Peer] = {}
        self.add(forwards)

    def add(self, forwards: Sequence[Forward]) -> None:
        """Serve these ports too."""
        for item in forwards:
            item.listener.setblocking(False)
            if item.listener.type == socket.SOCK_STREAM:
                # Its connections have it too, so that those which linger at the end keep nobody from the port.
                item.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                item.listener.listen(_BACKLOG)
            self._forwards[item.listener.fileno()] = item
            self._epoll.register(item.listener.fileno(), select.EPOLLIN)

    def close(self) -> None:
        for connection in set(self._connections.values()):
            self._hang_up(connection)
        for peer in list(self._peers.values()):
            self._forget(peer)
        for item in self._forwards.values():
            item.listener.close()
        self._epoll.close()

    def lead_to(self, endpoint: Endpoint) -> None:
        """Pass new clients on to this endpoint's addresses: of the same family as before, if it has one."""
        for fd, item in self._forwards.items():
            ipv6 = is_ipv6(item.address)
            address = endpoint.address(ipv6=ipv6) or endpoint.address(ipv6=not ipv6)
            self._forwards[fd] = item._replace(address=address)

    def filenos(self) -> tuple[int, ...]:
        """The descriptors to watch for reading; they stay the same."""
        return (self._epoll.fileno(),)

    def next_deadline(self) -> float | None:
        """When `expire` has something to do (time.monotonic()); None = nothing is under way."""
        return min((peer.deadline for peer in self._peers.values()), default=None)

    def expire(self) -> None:
        """Forget UDP clients that have been silent for long."""
        now = time.monotonic()
        for peer in [peer for peer in self._peers.values() if peer.deadline <= now]:
            self._forget(peer)

    def handle(self, fd: int = -1) -> None:
        """Does all that is ready; never waits."""
        for ready, events in self._epoll.poll(0):
            if ready in self._forwards:
                item = self._forwards[ready]
                if item.listener.type == socket.SOCK_STREAM:
                    self._accept(item)
                else:
                    self._receive(item)
            elif ready in self._connections:
                self._serve(self._connections[ready], events)
            elif ready in self._peers:
                self._return(self._peers[ready])

    # ---- TCP

    def _accept(self, item: Forward) -> None:
        try:
            client, _ = item.listener.accept()
        except OSError:  # the client has gone again, or we have too many descriptors
            return
        if len(self._connections) >= 2 * _MOST_CONNECTIONS:
            client.close()
            return
        server = self._open(item, socket.SOCK_STREAM)
        client.setblocking(False)
        connection = _Connection(client, server)
        for sock in connection.sockets:
            self._connections[sock.fileno()] = connection
            self._epoll.register(sock.fileno(), connection.events(sock))
        if server.connect_ex((item.address, item.port)) not in (0, errno.EINPROGRESS):
            self._hang_up(connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & select.EPOLLERR:
                raise ConnectionError
            connection.connected = True
            for flow in connection.flows:
                flow.move()
        except OSError:
            self._hang_up(connection)
            return
        if all(flow.done for flow in connection.flows):
            self._hang_up(connection)
            return
        for sock in connection.sockets:
            self._epoll.modify(sock.fileno(), connection.events(sock))

    def _hang_up(self, connection: _Connection) -> None:
        for sock in connection.sockets:
            if self._connections.pop(sock.fileno(), None) is not None:
                self._epoll.unregister(sock.fileno())
            sock.close()

    # ---- UDP

    def _receive(self, item: Forward) -> None:
        for _ in range(_BURST):
            try:
                data, client = item.listener.recvfrom(_CHUNK)
            except OSError:  # nothing left, or an ICMP error of an earlier answer
                return
            key = item.listener.fileno(), client
            peer = self._by_client.get(key) or self._meet(item, client)
            peer.deadline = time.monotonic() + _UDP_IDLE_SECONDS
            try:
                peer.sock.send(data)
            except OSError:  # nobody listens in the container, or its buffer is full: datagrams may be lost
                pass

    def _meet(self, item: Forward, client: tuple[str, int]) -> _Peer:
        if len(self._peers) >= _MOST_CONNECTIONS:
            self._forget(min(self._peers.values(), key=lambda peer: peer.deadline))
        sock = self._open(item, socket.SOCK_DGRAM)
        sock.connect((item.address, item.port))
        peer = _Peer(sock, item.listener, client)
        self._peers[sock.fileno()] = peer
        self._by_client[item.listener.fileno(), client] = peer
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return peer

    def _return(self, peer: _Peer) -> None:
        for _ in range(_BURST):
            try:
                data = peer.sock.recv(_CHUNK)
                peer.listener.sendto(data, peer.address)
            except OSError:
                return
            peer.deadline = time.monotonic() + _UDP_IDLE_SECONDS

    def _forget(self, peer: _Peer) -> None:
        del self._peers[peer.sock.fileno()]
        self._by_client.pop((peer.listener.fileno(), peer.address), None)
        self._epoll.unregister(peer.sock.fileno())
        peer.sock.close()

    def _open(self, item: Forward, kind: int) -> socket.socket:
        family = socket.AF_INET6 if is_ipv6(item.address) else socket.AF_INET
        return socket_in(self._namespace, family, kind | socket.SOCK_NONBLOCK)
