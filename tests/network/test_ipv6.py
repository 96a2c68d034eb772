"""Networks with IPv6, with both families, and what the proxy carries between them."""

import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Host, Space, run

from runtime.network.firewall.rules import PublishedPort
from runtime.network.ipam import parse_subnet
from runtime.network.ports import Use, plan_use, reserve
from runtime.network.proxy import Forward, Proxy
from runtime.oci.container_spec import PortRequest

QUICK = 0.4  # seconds after which an unanswered connection counts as dropped
V4, V6 = "172.18.0.0/20", "fd00:1::/64"


@pytest.fixture(autouse=True)
def _needs_ipv6(host: Host) -> None:
    if not os.path.exists("/proc/sys/net/ipv6/conf/all/disable_ipv6"):
        pytest.skip("this kernel has no IPv6")


def test_both_families(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", V4, V6)
    one, (one4, one6), _ = host.container(network)
    two, _, _ = host.container(network)
    keep = [one.listen(80), one.listen(80, "::1"), one.listen(81, "::"), outside.listen(80, "2001:db8::2")]
    assert two.connects(one4, 80) and two.connects(one6, 81)
    assert host.connects(one6, 81)
    assert one.connects("2001:db8::2", 80)
    assert keep[3].accept()[1][0] == "2001:db8::1"  # masqueraded
    assert not outside.connects(one6, 81, QUICK)  # no way in to what is not published
    with one.inside():
        shown = run("ip", "-6", "addr", "show", "eth0")
        (line,) = (line for line in shown.splitlines() if one6 in line)
        assert "tentative" not in line


def test_published_ports(host: Host) -> None:
    outside = host.outside()
    network, other = host.network("a", V4, V6), host.network("b", "fd00:2::/64")
    web, (_, web6), published = host.container(network)
    neighbour, _, _ = host.container(network)
    stranger, _, _ = host.container(other)
    server = web.listen(80, "::")
    published.publish(
        [PublishedPort("::", 8080, "tcp", web6, 80), PublishedPort("2001:db8::1", 8081, "tcp", web6, 80)]
    )
    assert outside.connects("2001:db8::1", 8080)
    assert server.accept()[1][0] == "2001:db8::2"  # the client's own address
    assert outside.connects("2001:db8::1", 8081)
    for space in (host, web, neighbour, stranger):
        assert space.connects("2001:db8::1", 8080), space
    assert not host.connects("fd00:1::1", 8081)
    assert {p.host_port for p in published.firewall6.published()} == {8080, 8081}
    published.unpublish([PublishedPort("::", 8080, "tcp", web6, 80)])
    assert not outside.connects("2001:db8::1", 8080)
    published.firewall6.remove_network("br-a", [parse_subnet(V6)])
    assert published.firewall6.published() == []


def test_isolation_and_internal(host: Host) -> None:
    outside = host.outside()
    first, second = host.network("a", V6), host.network("b", "fd00:2::/64", internal=True)
    one, (one6,), _ = host.container(first)
    two, (two6,), _ = host.container(second)
    keep = [space.listen(80, "::") for space in (one, two, outside)]
    assert not two.connects(one6, 80, QUICK) and not one.connects(two6, 80, QUICK)
    with two.inside():
        run("ip", "-6", "route", "add", "default", "via", "fd00:2::1")
    assert not two.connects("2001:db8::2", 80, QUICK)
    assert one.connects("2001:db8::2", 80)
    assert len(keep) == 3


def test_nft_lists_what_was_meant(host: Host) -> None:
    host.network("a", V6)
    listed = run("nft", "list", "table", "ip6", "pycompose_test")
    for line in (
        "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
        "fib daddr type local ip6 daddr != ::1 dnat ip6 to ip6 daddr . meta l4proto . th dport map @published",
        "fib daddr type local ip6 daddr != ::1 dnat ip6 to meta l4proto . th dport map @published_any",
        "iifname @bridges iifname != @unmasked iifname . oifname != @pairs masquerade",
        "oifname @bridges drop",
    ):
        assert line in listed, f"{line!r} is not in\n{listed}"


@contextmanager
def proxied(host: Host, port: PortRequest, address: str) -> Iterator[Proxy]:
    """A proxy that leads `port` of the host to `address`, working in a thread."""
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    reservation = reserve(port)
    forwards = [Forward(sock, address, port.container_port) for sock in reservation.sockets.values()]
    proxy = Proxy(forwards, namespace)
    ended = threading.Event()

    def work() -> None:
        with host.inside():
            while not ended.is_set():
                select.select(proxy.filenos(), [], [], 0.05)
                proxy.handle()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield proxy
    finally:
        ended.set()
        thread.join()
        proxy.close()
        os.close(namespace)


def echo(space: Space, port: int) -> threading.Thread:
    server = space.listen(port)

    def serve() -> None:
        connection, _ = server.accept()
        connection.settimeout(20)
        received = bytearray()
        while data := connection.recv(1 << 16):
            received += data
        connection.sendall(received)
        connection.close()
        server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_proxy_from_ipv6_to_a_container_without(host: Host) -> None:
    outside = host.outside()
    container, (ip,), _ = host.container(host.network("a", V4))
    sent = os.urandom(3_000_000)
    with proxied(host, PortRequest(80, host_port=8080, host_ip="::"), ip) as proxy:
        for space, address in ((outside, "2001:db8::1"), (host, "::1")):
            thread = echo(container, 80)
            with space.inside():
                client = socket.create_connection((address, 8080), timeout=20)
            writer = threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR)))  # noqa: B023
            writer.start()
            got = bytearray()
            while data := client.recv(1 << 16):
                got += data
            assert bytes(got) == sent
            client.close()
            writer.join()
            thread.join()
        assert proxy.next_deadline() is None
        # Nobody listens any more: the client is told.
        with host.inside(), socket.create_connection(("::1", 8080), timeout=5) as client:
            client.settimeout(5)
            try:
                assert client.recv(1) == b""
            except ConnectionResetError:
                pass


def test_proxy_of_datagrams(host: Host) -> None:
    container, (ip,), _ = host.container(host.network("a", V4))
    inside = container.udp(53)
    with proxied(host, PortRequest(53, protocol="udp", host_port=5353, host_ip="::1"), ip) as proxy:
        with host.inside():
            clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
        for number, client in enumerate(clients):
            client.settimeout(5)
            client.sendto(b"question %d" % number, ("::1", 5353))
            data, peer = inside.recvfrom(100)
            inside.sendto(data.upper(), peer)
            assert client.recv(100) == b"QUESTION %d" % number
            client.close()
        assert proxy.next_deadline() is not None


@pytest.mark.parametrize(
    ("address", "protocol", "families", "translated", "proxied_to"),
    [
        ("0.0.0.0", "tcp", "46", "4", ""),
        ("::", "tcp", "46", "6", "6"),
        ("::", "tcp", "4", "", "4"),
        ("::1", "udp", "46", "", "6"),
        ("2001:db8::1", "tcp", "46", "6", ""),
        ("0.0.0.0", "tcp", "6", "", "6"),
        ("::", "sctp", "46", "6", ""),
        ("::", "sctp", "4", "", ""),
    ],
)
def test_who_carries_a_port(
    host: Host, address: str, protocol: str, families: str, translated: str, proxied_to: str
) -> None:
    pools = [{"4": V4, "6": V6}[family] for family in families]
    endpoint = host.endpoint(host.network("a", *pools), 0, 9)
    expected = {"4": endpoint.address(), "6": endpoint.address(ipv6=True), "": ""}
    assert plan_use(address, protocol, endpoint) == Use(expected[translated], expected[proxied_to])
    closed = plan_use(address, protocol, endpoint._replace(routed4=True, routed6=True))
    assert closed == Use(direct=endpoint.address(ipv6=":" in address))
