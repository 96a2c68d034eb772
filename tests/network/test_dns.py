"""The responder in a namespace of its own, with a name server on the "host"."""

import fcntl
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Host, run
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from runtime.network.dns import answer, zone
from runtime.network.dns.entries import ZoneReader, is_live, remove_entry, write_entry
from runtime.network.dns.forward import HostServers
from runtime.network.dns.server import Responder
from runtime.network.dns.zone import Entry

NET = "project_default"


def resolv_conf(directory: str, servers: tuple[str, ...]) -> str:
    """The path of a resolv.conf with these servers."""
    path = Path(f"{directory}-resolv.conf")
    path.write_text("".join(f"nameserver {address}\n" for address in servers))
    return str(path)


class Setup:
    """A container's namespace with a responder, and a name server at 127.0.0.1:53 of the host."""

    def __init__(
        self, host: Host, directory: str, upstreams: tuple[str, ...] = ("127.0.0.1",), *, chosen: bool = False
    ) -> None:
        self.directory = directory
        self.space, _, self.network = host.container()
        self.upstream = host.udp(53)
        self.upstream_tcp = host.listen(53)
        self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        with self.space.inside():
            servers = upstreams if chosen else HostServers(resolv_conf(directory, upstreams))
            self.responder = Responder([(NET, directory)], servers, host_namespace=self.namespace)
        self.serve: Callable[[DNSRecord], DNSRecord | None] = lambda query: None
        self.asked = 0

    def close(self) -> None:
        self.responder.close()
        self.upstream.close()
        self.upstream_tcp.close()
        os.close(self.namespace)

    def pump(self, client: socket.socket, seconds: float = 3.0) -> bool:
        """Lets everybody work until the client has something to read."""
        deadline = time.monotonic() + seconds
        own = list(self.responder.filenos())
        while time.monotonic() < deadline:
            ready, _, _ = select.select([client, self.upstream, self.upstream_tcp, *own], [], [], 0.1)
            if self.upstream in ready:
                data, peer = self.upstream.recvfrom(4096)
                self.asked += 1
                reply = self.serve(DNSRecord.parse(data))
                if reply is not None:
                    self.upstream.sendto(reply.pack(), peer)
            if self.upstream_tcp in ready:
                connection, _ = self.upstream_tcp.accept()
                self.responder.handle()
                data = connection.recv(4096)
                reply = self.serve(DNSRecord.parse(data[2:]))
                assert reply is not None
                packed = reply.pack()
                connection.sendall(struct.pack("!H", len(packed)) + packed)
                connection.close()
            with self.space.inside():
                self.responder.handle(own[0])
            if client in ready:
                return True
        return False

    def ask(self, name: str, kind: str = "A", *, seconds: float = 3.0) -> DNSRecord:
        with self.space.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            query = DNSRecord.question(name, kind)
            client.connect(("127.0.0.11", 53))
            client.send(query.pack())
            assert self.pump(client, seconds), f"no answer to {name} {kind}"
            reply = DNSRecord.parse(client.recv(4096))
            assert reply.header.id == query.header.id
            return reply

    def ask_tcp(self, name: str, kind: str = "A") -> DNSRecord:
        with self.space.inside():
            client = socket.socket()
        with client:
            client.connect(("127.0.0.11", 53))
            packed = DNSRecord.question(name, kind).pack()
            message = struct.pack("!H", len(packed)) + packed
            client.send(message[:5])
            time.sleep(0.01)
            client.send(message[5:])
            assert self.pump(client)
            data = client.recv(65535)
            return DNSRecord.parse(data[2:])

    def add(self, container: str, address: str, *names: str, live: str = "") -> None:
        write_entry(self.directory, container, Entry(names, address, container, NET, live))


@pytest.fixture
def setup(host: Host, tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Setup(host, str(tmp_path / "zone"))
    yield made
    made.close()


def addresses(reply: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in reply.rr]


def test_names_of_services_and_replicas(setup: Setup) -> None:
    setup.add("project-web-1", "172.18.0.2", "web", "project-web-1", "abcdef")
    setup.add("project-web-2", "172.18.0.3", "web", "www")
    for name in ("abcdef", "project-web-1", "PROJECT-WEB-1", f"abcdef.{NET}"):
        reply = setup.ask(name)
        assert addresses(reply) == ["172.18.0.2"] and reply.header.aa and reply.header.ra
    firsts = {addresses(setup.ask("web"))[0] for _ in range(4)}
    assert firsts == {"172.18.0.2", "172.18.0.3"}
    assert sorted(addresses(setup.ask_tcp("web"))) == ["172.18.0.2", "172.18.0.3"]
    assert addresses(setup.ask("www")) == ["172.18.0.3"]
    assert setup.asked == 0


def test_names_asked_by_turns_have_turns_of_their_own(setup: Setup) -> None:
    for number in (2, 3):
        setup.add(f"web-{number}", f"172.18.0.{number}", "web")
        setup.add(f"api-{number}", f"172.18.1.{number}", "api")
    firsts = {addresses(setup.ask(name))[0] for _ in range(3) for name in ("web", "api")}
    assert firsts == {"172.18.0.2", "172.18.0.3", "172.18.1.2", "172.18.1.3"}


def test_other_types_of_our_names_are_empty(setup: Setup) -> None:
    setup.add("c", "172.18.0.2", "web")
    for kind in ("AAAA", "MX", "HTTPS"):
        reply = setup.ask("web", kind)
        assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])
    assert setup.ask(f"nobody.{NET}").header.rcode == RCODE.NXDOMAIN
    assert setup.asked == 0


def test_reverse(setup: Setup) -> None:
    setup.add("project-web-1", "172.18.0.2", "web")
    assert addresses(setup.ask("2.0.18.172.in-addr.arpa", "PTR")) == [f"project-web-1.{NET}."]
    setup.serve = lambda query: query.reply(aa=0)
    setup.ask("3.0.18.172.in-addr.arpa", "PTR")
    assert setup.asked == 1


def test_entries_come_and_go(setup: Setup) -> None:
    setup.serve = lambda query: query.reply(aa=0)
    assert addresses(setup.ask("web")) == []
    setup.add("c", "172.18.0.2", "web")
    assert addresses(setup.ask("web")) == ["172.18.0.2"]
    setup.add("c", "172.18.0.9", "web")
    assert addresses(setup.ask("web")) == ["172.18.0.9"]
    remove_entry(setup.directory, "c")
    remove_entry(setup.directory, "c")
    assert addresses(setup.ask("web")) == []


def test_entries_of_dead_shims_are_passed_over(setup: Setup, tmp_path: Path) -> None:
    setup.serve = lambda query: query.reply(aa=0)
    lock = tmp_path / "lock"
    setup.add("c", "172.18.0.2", "web", live=str(lock))
    assert addresses(setup.ask("web")) == []
    with lock.open("w") as file:
        fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        assert addresses(setup.ask("web")) == ["172.18.0.2"]
    time.sleep(0.15)  # what was held a moment ago is taken for held
    assert addresses(setup.ask("web")) == []


def test_other_names_are_asked_of_the_host(setup: Setup) -> None:
    def serve(query: DNSRecord) -> DNSRecord:
        reply = query.reply()
        reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("203.0.113.7"), ttl=60))
        return reply

    setup.serve = serve
    assert addresses(setup.ask("example.org")) == ["203.0.113.7"]
    assert addresses(setup.ask_tcp("example.org")) == ["203.0.113.7"]
    assert setup.responder.next_deadline() is None or setup.responder.next_deadline() > 0  # type: ignore[operator]


def test_forged_answers_are_ignored(setup: Setup) -> None:
    def serve(query: DNSRecord) -> DNSRecord:
        if setup.asked == 1:
            return DNSRecord.question("elsewhere.org").reply()
        reply = query.reply()
        reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("203.0.113.7"), ttl=60))
        return reply

    setup.serve = serve
    assert addresses(setup.ask("example.org", seconds=5)) == ["203.0.113.7"]
    assert setup.asked == 2  # after the first try's time was up


def test_servers_that_refuse_are_passed_over(host: Host, tmp_path: Path) -> None:
    setup = Setup(host, str(tmp_path), upstreams=("198.51.100.9", "127.0.0.1"))
    try:
        setup.serve = lambda query: query.reply(aa=0)
        begin = time.monotonic()
        assert setup.ask("example.org").header.rcode == RCODE.NOERROR
        assert time.monotonic() - begin < 1  # unreachable: no time was spent waiting for it
    finally:
        setup.close()


def test_servers_that_fail_are_passed_over(host: Host, tmp_path: Path) -> None:
    setup = Setup(host, str(tmp_path), upstreams=("127.0.0.1", "127.0.0.1"))

    def serve(query: DNSRecord) -> DNSRecord:
        reply = query.reply(aa=0)
        reply.header.rcode = RCODE.REFUSED if setup.asked == 1 else RCODE.SERVFAIL
        return reply

    setup.serve = serve
    try:
        assert setup.ask("example.org").header.rcode == RCODE.SERVFAIL
        assert setup.asked == 2
    finally:
        setup.close()


def test_chosen_servers_are_asked_from_inside(host: Host, tmp_path: Path) -> None:
    """127.0.0.1 is then the container itself, as with the reference; 127.0.0.11 would be the responder again."""
    setup = Setup(host, str(tmp_path), upstreams=("127.0.0.11", "127.0.0.1"), chosen=True)
    setup.upstream.close()
    setup.upstream = setup.space.udp(53)
    setup.serve = lambda query: query.reply(aa=0)
    try:
        assert setup.ask("example.org").header.rcode == RCODE.NOERROR
        assert setup.asked == 1
    finally:
        setup.close()


def test_nobody_to_ask(host: Host, tmp_path: Path) -> None:
    setup = Setup(host, str(tmp_path), upstreams=())
    try:
        assert setup.ask("example.org").header.rcode == RCODE.SERVFAIL
    finally:
        setup.close()


def test_long_answers_are_truncated_by_udp_and_whole_by_tcp(setup: Setup) -> None:
    for number in range(60):
        setup.add(f"c{number}", f"172.18.1.{number}", "many")
    assert setup.ask("many").header.tc
    assert len(setup.ask_tcp("many").rr) == 60


def test_rubbish_does_not_stop_it(setup: Setup) -> None:
    setup.add("c", "172.18.0.2", "web")
    generator = random.Random(5)
    good = DNSRecord.question("web").pack()
    with setup.space.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stream = socket.socket()
        stream.connect(("127.0.0.11", 53))
    client.connect(("127.0.0.11", 53))
    for number in range(200):
        if number % 2:
            data = bytearray(good)
            data[generator.randrange(len(data))] = generator.randrange(256)
        else:
            data = bytearray(generator.randbytes(generator.randrange(1, 60)))
        client.send(bytes(data))
        if number % 20 == 0:
            setup.responder.handle()
    stream.send(b"\0\0\0\x05abcde\xff\xff")
    for _ in range(10):
        setup.responder.handle()
    assert addresses(setup.ask("web")) == ["172.18.0.2"]
    client.close()
    stream.close()


def test_port_53_stays_the_containers(setup: Setup) -> None:
    with setup.space.inside():
        own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own.bind(("0.0.0.0", 53))
        own.close()
        assert "dnat to 127.0.0.11:" in run("nft", "list", "table", "ip", "pycompose_dns")


def test_zone_reader_and_bad_files(tmp_path: Path) -> None:
    reader = ZoneReader(str(tmp_path / "none"))
    assert reader.entries() == ()
    entry = Entry(("web",), "172.18.0.2", "c", NET)
    write_entry(str(tmp_path), "good", entry)
    (tmp_path / "bad").write_text("{")
    (tmp_path / "newer").write_text('{"v": 99}')
    assert ZoneReader(str(tmp_path)).entries() == (entry,)
    assert is_live(entry) and not is_live(entry._replace(live=str(tmp_path / "missing")))


@given(st.binary(max_size=300))
def test_parsers_take_anything(data: bytes) -> None:
    zone.parse_entry(data)
    query = answer.parse_query(data)
    assert query is None or query.udp_bytes >= 512
    answer.refuse(data, "FORMERR")
    answer.is_answer_to(data, data)


def test_lookup() -> None:
    entry = Entry(("web", "a.b"), "172.18.0.2", "c", "Net")
    for name in ("web", "WEB.", "web.net", "a.b", "a.b.NET."):
        assert zone.find([entry], name) == [entry], name
    for name in ("we", "web.other", "net", "", ".net", "b"):
        assert zone.find([entry], name) == [], name
    assert zone.find_address([entry], "2.0.18.172.IN-ADDR.ARPA.") == [entry]
    assert zone.find_address([entry], "in-addr.arpa") == []
    assert zone.is_below(["Net"], "x.NET.") and not zone.is_below(["Net"], "net")


def test_a_query_is_quick(setup: Setup) -> None:
    setup.add("c", "172.18.0.2", "web")
    time.sleep(0.06)
    begin = time.perf_counter()
    for _ in range(20):
        setup.ask("web")
    assert (time.perf_counter() - begin) / 20 < 0.1


def test_namespace_is_kept(setup: Setup) -> None:
    """Asking the host means going there and back: the caller must find itself where it was."""
    with setup.space.inside():
        before = os.stat("/proc/thread-self/ns/net").st_ino
        setup.serve = lambda query: query.reply(aa=0)
        setup.ask("example.org")
        assert os.stat("/proc/thread-self/ns/net").st_ino == before


def test_a_second_responder_takes_over(setup: Setup) -> None:
    """After a shim's fault a new one finds the table of the old one in the namespace."""
    setup.add("c", "172.18.0.2", "web")
    with setup.space.inside():
        setup.responder.close()
        setup.responder = Responder([(NET, setup.directory)], (), host_namespace=setup.namespace)
    assert addresses(setup.ask("web")) == ["172.18.0.2"]
