"""What must not pass, looked for on the wire by tshark: spoofed packets get no answer that a connection would show."""

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from conftest import Host, Space, run

_PORT = 4242


@contextmanager
def captured(space: Space, interface: str = "eth0") -> Iterator[list[str]]:
    """Filled at the end: "source payload" of each UDP packet to our port that came to an interface."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    seen: list[str] = []
    words = ("tshark", "-q", "-l", "-n", "-Q", "-i", interface, "-f", f"udp dst port {_PORT}", "-T", "fields")
    with space.inside():
        capture = subprocess.Popen(
            [*words, "-e", "ip.src", "-e", "data.data"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 15
        while not run("ss", "--packet", "--all", "--no-header").strip():
            assert time.monotonic() < deadline, "tshark did not begin"
            time.sleep(0.05)
    try:
        yield seen
        time.sleep(0.5)
    finally:
        capture.terminate()
        text, _ = capture.communicate(timeout=20)
    for line in text.splitlines():
        source, _, data = line.partition("\t")
        seen.append(f"{source} {bytes.fromhex(data.replace(':', '')).decode()}")


def send(space: Space, source: str, destination: str, text: str) -> None:
    """A UDP packet with any source address."""
    data = struct.pack("!HHHH", _PORT, _PORT, 8 + len(text), 0) + text.encode()
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    with space.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + data, (destination, 0))


def open_loopback(spaces: Sequence[Space]) -> None:
    """A machine that does all it can to send packets from and to 127/8 by its links."""
    for space in spaces:
        with space.inside():
            run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
            with open("/proc/sys/net/ipv4/conf/all/route_localnet", "w") as file:
                file.write("1")
            run("ip", "route", "add", "127.0.0.0/8", "dev", "eth0")


def test_what_reaches_a_container(host: Host) -> None:
    outside = host.outside()
    first, second = host.network("a", "172.18.0.0/20"), host.network("b", "172.18.16.0/20")
    inner = host.network("in", "172.18.32.0/20", internal=True)
    one, (one_ip,), _ = host.container(first)
    neighbour, (neighbour_ip,), _ = host.container(first)
    two, (two_ip,), _ = host.container(second)
    inside, (inside_ip,), _ = host.container(inner)
    with inside.inside():
        run("ip", "route", "add", "default", "via", inner.pools[0].gateway)
    open_loopback([outside, two])
    with captured(one) as seen:
        send(neighbour, neighbour_ip, one_ip, "neighbour")
        for space, name, own in (
            (two, "two", two_ip),
            (inside, "inside", inside_ip),
            (outside, "outside", "198.51.100.2"),
        ):
            for source in (own, neighbour_ip, first.pools[0].gateway, "127.0.0.1"):
                send(space, source, one_ip, f"{name} as {source}")
    assert seen == [f"{neighbour_ip} neighbour"]


def test_what_reaches_the_outside(host: Host) -> None:
    outside = host.outside()
    first = host.network("a", "172.18.0.0/20")
    inner = host.network("in", "172.18.32.0/20", internal=True)
    one, (one_ip,), _ = host.container(first)
    inside, (inside_ip,), _ = host.container(inner)
    with inside.inside():
        run("ip", "route", "add", "default", "via", inner.pools[0].gateway)
    with captured(outside) as seen:
        send(one, one_ip, "198.51.100.2", "own")
        send(one, "203.0.113.9", "198.51.100.2", "spoofed")
        for source in (inside_ip, one_ip, "198.51.100.77"):
            send(inside, source, "198.51.100.2", f"inside as {source}")
    # Nothing leaves with an address that a container made up.
    assert seen == ["198.51.100.1 own", "198.51.100.1 spoofed"]


def test_what_reaches_the_hosts_loopback(host: Host) -> None:
    """127.0.0.1 is open to the host itself only, although route_localnet is on for the bridges."""
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    one, (one_ip,), _ = host.container(network)
    server = host.udp(_PORT)
    server.settimeout(0.5)
    gateway = network.pools[0].gateway
    send(one, one_ip, gateway, "allowed")
    assert server.recv(100) == b"allowed"
    open_loopback([outside, one])
    for space in (outside, one):
        for source, destination in (
            ("127.0.0.1", gateway),
            ("127.0.0.9", "127.0.0.1"),
            (one_ip, "127.0.0.1"),
        ):
            send(space, source, destination, f"{source} to {destination}")
    with pytest.raises(TimeoutError):
        raise AssertionError(server.recv(100))
    server.close()
