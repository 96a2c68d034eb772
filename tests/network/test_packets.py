"""What must not pass, looked for on the wire by tshark: spoofed packets get no answer that a connection would show."""

import os
import select
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from conftest import Host, Space, run

_PORT = 4242


@contextmanager
def captured(space: Space, mark: Callable[[str], None]) -> Iterator[list[str]]:
    """Filled at the end: "source payload" of each UDP packet to our port that came to the space's eth0.

    `mark` sends a packet with that text which must arrive: the first tells that links and capture work, the last that
    all before it has been seen. Marks are not part of the list.
    """
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    words = ("tshark", "-q", "-l", "-n", "-Q", "-i", "eth0", "-f", f"udp dst port {_PORT}", "-T", "fields")
    with space.inside():
        capture = subprocess.Popen(
            [*words, "-e", "ip.src", "-e", "data.data"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
    seen: list[str] = []
    try:
        _await_mark(capture, mark, "begin")
        yield seen
        seen += [line for line in _await_mark(capture, mark, "end") if not line.endswith(" begin")]
    finally:
        capture.terminate()
        capture.wait(20)
        if capture.stdout is not None:
            capture.stdout.close()


def _await_mark(capture: "subprocess.Popen[bytes]", mark: Callable[[str], None], text: str) -> list[str]:
    """What was captured before the mark; it is sent again and again until it is seen."""
    assert capture.stdout is not None
    shown = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        mark(text)
        while select.select([capture.stdout], [], [], 0.2)[0]:
            data = os.read(capture.stdout.fileno(), 1 << 16)
            assert data, "tshark has ended"
            shown += data
        lines = [_readable(line) for line in shown.decode().splitlines(keepends=True) if line.endswith("\n")]
        if any(line.endswith(f" {text}") for line in lines):
            return [line for line in lines if not line.endswith(f" {text}")]
    raise AssertionError(f"the mark {text} was not seen")


def _readable(line: str) -> str:
    source, _, data = line.strip().partition("\t")
    return f"{source} {bytes.fromhex(data.replace(':', '')).decode()}"


def send(space: Space, source: str, destination: str, text: str) -> None:
    """A UDP packet with any source address."""
    data = struct.pack("!HHHH", _PORT, _PORT, 8 + len(text), 0) + text.encode()
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(data), 0, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source), socket.inet_aton(destination),
    )  # fmt: skip
    with space.inside(), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + data, (destination, 0))


def assert_arrives(server: socket.socket, act: Callable[[], None]) -> None:
    """A new link takes a moment until it carries packets."""
    for _ in range(40):
        act()
        try:
            assert server.recv(100) == b"allowed"
            return
        except TimeoutError:
            continue
    raise AssertionError("what is allowed did not arrive")


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
    with captured(one, lambda text: send(neighbour, neighbour_ip, one_ip, text)) as seen:
        for space, name, own in (
            (two, "two", two_ip),
            (inside, "inside", inside_ip),
            (outside, "outside", "198.51.100.2"),
        ):
            for source in (own, neighbour_ip, first.pools[0].gateway, "127.0.0.1"):
                send(space, source, one_ip, f"{name} as {source}")
    assert seen == []


def test_what_reaches_the_outside(host: Host) -> None:
    outside = host.outside()
    first = host.network("a", "172.18.0.0/20")
    inner = host.network("in", "172.18.32.0/20", internal=True)
    one, (one_ip,), _ = host.container(first)
    inside, (inside_ip,), _ = host.container(inner)
    with inside.inside():
        run("ip", "route", "add", "default", "via", inner.pools[0].gateway)
    with captured(outside, lambda text: send(one, one_ip, "198.51.100.2", text)) as seen:
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
    assert_arrives(server, lambda: send(one, one_ip, gateway, "allowed"))
    open_loopback([outside, one])
    for space in (outside, one):
        for source, destination in (
            ("127.0.0.1", gateway),
            ("127.0.0.9", "127.0.0.1"),
            (one_ip, "127.0.0.1"),
        ):
            send(space, source, destination, f"{source} to {destination}")
    with pytest.raises(TimeoutError):
        # What is allowed was perhaps sent more than once before it was seen.
        while (text := server.recv(100)) == b"allowed":
            pass
        raise AssertionError(text)
    server.close()
