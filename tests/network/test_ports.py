"""Holding ports of the host."""

import os
import socket

import pytest
from conftest import Host

from runtime.errors import ConflictError, InvalidError, UnsupportedError
from runtime.network.ports import check_free, find_holder, reserve
from runtime.oci.container_spec import PortRequest


def test_a_held_port_is_taken_for_others(host: Host) -> None:
    with reserve(PortRequest(80, host_port=8080)) as held:
        assert {address: sock.getsockname()[1] for address, sock in held.sockets.items()} == {
            "0.0.0.0": 8080,
            "::": 8080,
        }
        for reuse in (0, 1):
            other = socket.socket()
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", 8080))
            other.close()
        with pytest.raises(
            ConflictError, match=rf"0\.0\.0\.0:8080/tcp is already taken by .*pid {os.getpid()}"
        ):
            reserve(PortRequest(80, host_port=8080))
        with pytest.raises(ConflictError):
            reserve(PortRequest(80, host_port=8080, host_ip="127.0.0.1"))
        with reserve(PortRequest(80, protocol="udp", host_port=8080)):
            pass
    check_free([PortRequest(80, host_port=8080)])


def test_a_free_port_and_a_range(host: Host) -> None:
    with reserve(PortRequest(80)) as held:
        assert held.number > 0 and len({sock.getsockname()[1] for sock in held.sockets.values()}) == 1
    wanted = PortRequest(80, host_port=9000, host_port_end=9001)
    with reserve(wanted) as one, reserve(wanted) as two:
        assert (one.number, two.number) == (9000, 9001)
        with pytest.raises(ConflictError, match="9000-9001"):
            reserve(wanted)


def test_doubles_within_one_request_are_found(host: Host) -> None:
    with pytest.raises(ConflictError):
        check_free([PortRequest(80, host_port=8080), PortRequest(81, host_port=8080)])
    check_free([PortRequest(80, host_port=8080, host_ip="127.0.0.1"), PortRequest(81, host_port=8081)])


def test_bad_requests(host: Host) -> None:
    with pytest.raises(InvalidError, match="not an address of this host"):
        reserve(PortRequest(80, host_port=8080, host_ip="203.0.113.9"))
    with reserve(PortRequest(80, host_port=8080, host_ip="::1")) as held:
        assert list(held.sockets) == ["::1"]
        with pytest.raises(ConflictError, match=r"\[::1\]:8080/tcp is already taken by .*pid"):
            reserve(PortRequest(80, host_port=8080, host_ip="::1"))
    with pytest.raises(InvalidError, match="not an IPv6 address"):
        reserve(PortRequest(80, host_port=8080, host_ip="::zz"))
    with pytest.raises(InvalidError, match="protocol"):
        reserve(PortRequest(80, protocol="icmp"))
    try:
        reserve(PortRequest(80, protocol="sctp", host_port=8080)).close()
    except UnsupportedError as error:
        assert "sctp" in error.hint


def test_time_wait_is_not_in_the_way(host: Host) -> None:
    server = host.listen(8080, "127.0.0.1")
    client = socket.create_connection(("127.0.0.1", 8080), timeout=3)
    accepted, _ = server.accept()
    accepted.close()
    client.recv(1)
    client.close()
    server.close()
    with reserve(PortRequest(80, host_port=8080)):
        pass


def test_holder_of_another_address(host: Host) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 8080))
        sock.listen()
        assert str(os.getpid()) in find_holder("tcp", "", 8080)
        assert str(os.getpid()) in find_holder("tcp", "127.0.0.1", 8080)
        assert find_holder("tcp", "127.0.0.2", 8080) == ""
