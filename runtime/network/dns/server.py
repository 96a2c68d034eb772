"""A container's DNS server, run by its shim: answers for its networks, passes the rest on to the host's
servers.

Listens on high ports of 127.0.0.11 in the container's namespace; a small nftables table there leads port
53 to them, so that the container's own program can still bind it. One epoll descriptor stands for all
its sockets.
"""

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from runtime.linux.netlink import NetlinkError
from runtime.linux.nfnetlink import HOOK_OUTPUT, Nfnetlink, Transaction
from runtime.network.dns import answer, zone
from runtime.network.dns.answer import Query
from runtime.network.dns.entries import ZoneReader, is_live
from runtime.network.dns.forward import Forwarder, Upstreams
from runtime.network.firewall import expressions as e

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
ADDRESS = "127.0.0.11"
TABLE = "pycompose_dns"
_MAX_CONNECTIONS = 64
_IDLE_SECONDS = 10.0
_MAX_MESSAGE = 65535
_ID_BYTES = 2
_SO_RCVBUFFORCE = 33  # socket(7)
_BUFFER_BYTES = 1 << 22
_MOST_REMEMBERED = 256
_LONGEST_REMEMBERED = 300  # bytes; a name has at most 255
_ALIVE_SECONDS = 0.1
# Datagrams taken at once before other sockets have their turn.
_BURST = 64


class _Connection:
    """One client's TCP connection."""

    __slots__ = ("deadline", "received", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.unsent = b""
        self.deadline = time.monotonic() + _IDLE_SECONDS


class Responder:
    """The DNS server of one container. Made inside the container's network namespace.

    `zones` are (network name, zone directory). `upstreams` are the name servers for everything else, None = the
    host's, whatever they are at the moment; without any (also for containers with internal networks only) such
    queries get SERVFAIL. `links` are names that only this container knows: alias -> name.
    `host_namespace` is a descriptor of the host's network namespace, which stays the caller's.
    `listeners` are those of `open_listeners`, made by another process; without them it opens its own. Watch
    `filenos()`, call `handle(fd)` when one is readable and `expire()` at `next_deadline()`. Raises OSError.
    """

    def __init__(
        self,
        zones: Sequence[tuple[str, str]],
        upstreams: Upstreams,
        *,
        host_namespace: int = -1,
        listeners: tuple[socket.socket, socket.socket] | None = None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        self._networks: list[str] = []
        self._readers: list[ZoneReader] = []
        self._links: dict[str, str] = {}
        self._turns: dict[tuple[str, str], int] = {}  # (name, type of record) -> how often it was asked for
        # What was asked, byte for byte, and how it was answered: reading and writing messages is most of the work.
        self._queries: dict[bytes, Query] = {}
        self._answers: dict[tuple[bytes, tuple[str, ...]], bytes] = {}
        self._alive: set[str] = set()  # locks that are held
        self._alive_until = 0.0
        self._epoll = select.epoll()
        self._udp, self._tcp = open_listeners() if listeners is None else listeners
        self._connections: dict[int, _Connection] = {}
        self._forwarder = Forwarder(self._epoll, (), host_namespace)
        self.use_networks(zones, upstreams, links or {})
        for sock in (self._udp, self._tcp):
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def use_networks(
        self, zones: Sequence[tuple[str, str]], upstreams: Upstreams, links: Mapping[str, str]
    ) -> None:
        """Answer for these networks and ask these servers from now on; as the arguments of the constructor."""
        self._links = {alias.lower(): name for alias, name in links.items()}
        self._networks = [name for name, _ in zones]
        self._readers = [ZoneReader(directory) for _, directory in zones]
        self._forwarder.upstreams = upstreams

    def close(self) -> None:
        self._forwarder.close()
        for connection in self._connections.values():
            connection.sock.close()
        for closing in (self._udp, self._tcp, self._epoll):
            closing.close()

    def filenos(self) -> tuple[int, ...]:
        """The descriptors to watch for reading; they stay the same."""
        return (self._epoll.fileno(),)

    def next_deadline(self) -> float | None:
        """When `expire` has something to do (time.monotonic()); None = nothing is under way."""
        deadlines = [connection.deadline for connection in self._connections.values()]
        forwarded = self._forwarder.next_deadline()
        if forwarded is not None:
            deadlines.append(forwarded)
        return min(deadlines, default=None)

    def expire(self) -> None:
        """Ends what has waited too long."""
        self._forwarder.expire()
        now = time.monotonic()
        for connection in [c for c in self._connections.values() if c.deadline <= now]:
            self._hang_up(connection)

    def handle(self, fd: int = -1) -> None:
        """Does all that is ready; never waits."""
        # First what nearly always is the reason, before asking what the reason is: somebody waits for the answer.
        self._receive()
        for ready, events in self._epoll.poll(0):
            if ready == self._tcp.fileno():
                self._accept()
            elif ready in self._connections:
                self._serve(self._connections[ready], events)
            elif self._forwarder.owns(ready):
                self._forwarder.handle(ready, events)
        self.expire()

    def _receive(self) -> None:
        for _ in range(_BURST):
            try:
                data, client = self._udp.recvfrom(_MAX_MESSAGE)
            except OSError:  # nothing left, or an ICMP error of an earlier answer
                return

            def reply(message: bytes, client: tuple[str, int] = client) -> None:
                if message:
                    try:
                        self._udp.sendto(message, client)
                    except OSError:  # the asker has gone
                        pass

            self._answer(data, reply, tcp=False)

    def _accept(self) -> None:
        try:
            sock, _ = self._tcp.accept()
        except OSError:
            return
        sock.setblocking(False)
        if len(self._connections) >= _MAX_CONNECTIONS:
            self._hang_up(min(self._connections.values(), key=lambda connection: connection.deadline))
        self._connections[sock.fileno()] = _Connection(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._send(connection, b"")
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                data = connection.sock.recv(_MAX_MESSAGE)
                if not data:
                    self._hang_up(connection)
                    return
                connection.received += data
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(connection)
            return
        connection.deadline = time.monotonic() + _IDLE_SECONDS
        self._take_messages(connection)

    def _take_messages(self, connection: _Connection) -> None:
        def reply(message: bytes) -> None:
            # An answer may come after its asker has hung up.
            if message and connection.sock.fileno() in self._connections:
                self._send(connection, len(message).to_bytes(2, "big") + message)

        while len(connection.received) >= 2 and connection.sock.fileno() >= 0:
            length = int.from_bytes(connection.received[:2], "big") + 2
            if len(connection.received) < length:
                return
            message, connection.received = connection.received[2:length], connection.received[length:]
            self._answer(message, reply, tcp=True)

    def _send(self, connection: _Connection, data: bytes) -> None:
        connection.unsent += data
        try:
            sent = connection.sock.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._hang_up(connection)
            return
        connection.unsent = connection.unsent[sent:]
        if len(connection.unsent) > 4 * _MAX_MESSAGE:  # somebody who asks and never reads
            self._hang_up(connection)
            return
        waiting = select.EPOLLOUT if connection.unsent else 0
        self._epoll.modify(connection.sock.fileno(), select.EPOLLIN | waiting)

    def _hang_up(self, connection: _Connection) -> None:
        if self._connections.pop(connection.sock.fileno(), None) is not None:
            self._epoll.unregister(connection.sock.fileno())
        connection.sock.close()

    def _answer(self, data: bytes, reply: Callable[[bytes], None], *, tcp: bool) -> None:
        asked = data[_ID_BYTES:]
        query = self._queries.get(asked)
        if query is None:
            query = answer.parse_query(data)
            if query is None:
                reply(answer.refuse(data, "FORMERR"))
                return
            if len(asked) <= _LONGEST_REMEMBERED:
                _remember(self._queries, asked, query)
        own = self._own_answer(asked, query)
        if own:
            message = data[:_ID_BYTES] + own
            reply(message if tcp else answer.truncate(message, query))
        elif zone.is_below(self._networks, query.name):
            reply(answer.refuse(data, "NXDOMAIN"))
        else:
            self._forwarder.forward(data, reply, tcp=tcp)

    def _own_answer(self, asked: bytes, query: Query) -> bytes:
        """The answer about one of our own names or addresses without its id, b"" if it is not ours."""
        records = self._records(query)
        if records is None:
            return b""
        known = self._answers.get((asked, records))
        if known is None:
            build = answer.build_names if query.kind == "PTR" else answer.build_addresses
            known = build(query, records)[_ID_BYTES:]
            if len(asked) <= _LONGEST_REMEMBERED:
                _remember(self._answers, (asked, records), known)
        return known

    def _records(self, query: Query) -> tuple[str, ...] | None:
        """The names or addresses that answer a query, () = the name has none of that type; None = not ours."""
        entries = [entry for reader in self._readers for entry in reader.entries()]
        if query.kind == "PTR":
            named = [entry for entry in zone.find_address(entries, query.name) if self._is_alive(entry)]
            return tuple(f"{entry.container}.{entry.network}" for entry in named) or None
        name = self._links.get(query.name.rstrip(".").lower(), query.name)
        found = [entry for entry in zone.find(entries, name) if self._is_alive(entry)]
        if not found:
            return None
        addresses: list[str] = []
        for kind, of_family in (
            ("A", [entry.address for entry in found]),
            ("AAAA", [entry.address6 for entry in found]),
        ):
            if query.kind in (kind, "ANY"):
                addresses += self._rotate(name, kind, list(dict.fromkeys(filter(None, of_family))))
        return tuple(addresses)

    def _is_alive(self, entry: zone.Entry) -> bool:
        """Whether the entry's lock is held, or was a moment ago: a shim that ends takes its entry away itself."""
        now = time.monotonic()
        if now > self._alive_until:
            self._alive.clear()
            self._alive_until = now + _ALIVE_SECONDS
        if entry.live in self._alive:
            return True
        if not is_live(entry):
            return False
        self._alive.add(entry.live)
        return True

    def _rotate(self, name: str, kind: str, addresses: list[str]) -> list[str]:
        """Programs take the first: each question for a name begins with another replica.

        Counted for each name and type: a program that asks for A and AAAA by turns is to see all replicas too.
        """
        if len(addresses) < 2:
            return addresses
        key = name.lower(), kind
        turn = self._turns.get(key, 0) + 1
        _remember(self._turns, key, turn)
        first = turn % len(addresses)
        return addresses[first:] + addresses[:first]


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if len(known) >= _MOST_REMEMBERED:
        known.clear()
    known[key] = value


def open_listeners() -> tuple[socket.socket, socket.socket]:
    """The UDP and the TCP socket of a responder in the present namespace, port 53 leading to them. Raises OSError."""
    udp = _bind(socket.SOCK_DGRAM)
    _enlarge_buffer(udp)
    tcp = _bind(socket.SOCK_STREAM)
    tcp.listen(16)
    redirect_port(udp.getsockname()[1], tcp.getsockname()[1])
    return udp, tcp


def _bind(kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.bind((ADDRESS, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _enlarge_buffer(udp: socket.socket) -> None:
    """Room for the questions of a busy program while this process waits for its turn; used only then."""
    try:
        udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)


def redirect_port(udp_port: int, tcp_port: int) -> None:
    """Leads 127.0.0.11:53 of the present namespace to these ports of the same address; renews an earlier one.

    Raises NetlinkError.
    """
    with Nfnetlink() as nfnetlink:
        try:
            nfnetlink.commit(_redirection(udp_port, tcp_port))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise
            # Only now: deleting waits for all processors to be done with the table.
            nfnetlink.commit(_redirection(udp_port, tcp_port, renew=True))


def _redirection(udp_port: int, tcp_port: int, *, renew: bool = False) -> Transaction:
    transaction = Transaction()
    if renew:
        transaction.delete_table(TABLE)
    transaction.add_table(TABLE, exclusive=True)
    transaction.add_chain(TABLE, "output", "nat", HOOK_OUTPUT, -100)
    address = socket.inet_aton(ADDRESS)
    for protocol, port in ((socket.IPPROTO_UDP, udp_port), (socket.IPPROTO_TCP, tcp_port)):
        rule = e.load_destination() + e.compare(address)
        rule += e.load_protocol() + e.compare(struct.pack("B", protocol))
        rule += e.load_port() + e.compare(struct.pack("!H", 53))
        rule += e.set_register(e.W0, address) + e.set_register(e.W1, struct.pack("!H", port))
        transaction.add_rule(TABLE, "output", rule + e.destination_nat(e.W0, e.W1))
    return transaction
