"""A host of its own for each test: one fresh network namespace as "host", more as containers and as the
outside.
"""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime.linux import syscalls
from runtime.linux.constants import CLONE_NEWNET
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network.endpoint import HostNetwork
from runtime.network.firewall.nft import Firewall
from runtime.network.ipam import format_address, mac_of, parse_subnet
from runtime.network.links import enable_forwarding, ensure_bridge
from runtime.network.record import Endpoint, NetworkRecord

TABLE = "pycompose_test"


class Space:
    """A network namespace, kept alive by a descriptor; sockets made inside stay inside."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @contextmanager
    def inside(self) -> Iterator[None]:
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            syscalls.setns(self.fd, CLONE_NEWNET)
            yield
        finally:
            syscalls.setns(back, CLONE_NEWNET)
            os.close(back)

    def listen(self, port: int, address: str = "") -> socket.socket:
        with self.inside():
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen(16)
            sock.settimeout(3)
            return sock

    def connects(self, address: str, port: int, timeout: float = 3.0) -> bool:
        """Whether a TCP connection is accepted; a drop takes `timeout` seconds to be seen."""
        with self.inside():
            sock = socket.socket()
        sock.settimeout(timeout)
        try:
            sock.connect((address, port))
        except OSError:
            return False
        finally:
            sock.close()
        return True

    def udp(self, port: int = 0) -> socket.socket:
        with self.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(("", port))
            sock.settimeout(3)
            return sock


class Host(Space):
    """The namespace that plays the host, with networks and containers made the way the engine does it."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.spaces: list[Space] = []
        self.count = 0
        self.gone: list[HostNetwork] = []

    def new_space(self) -> Space:
        with self.inside():
            syscalls.unshare(CLONE_NEWNET)
            space = Space(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self.spaces.append(space)
        return space

    def network(self, name: str, subnet: str, *, internal: bool = False) -> NetworkRecord:
        first = parse_subnet(subnet).network + 1
        record = NetworkRecord(
            id=name * 4,
            name=name,
            subnet=subnet,
            gateway=format_address(first),
            bridge=f"br-{name}",
            internal=internal,
            mtu=1400,
        )
        with Rtnetlink() as rtnetlink:
            ensure_bridge(rtnetlink, record)
        enable_forwarding()
        host = HostNetwork(TABLE)
        host.firewall.ensure_network(record.bridge, internal=internal)
        host.close()
        return record

    def container(self, *networks: NetworkRecord, last: int = 0) -> tuple[Space, list[str], HostNetwork]:
        self.count += 1
        endpoints, addresses = [], []
        for index, network in enumerate(networks):
            subnet = parse_subnet(network.subnet)
            number = subnet.network + (last or 10 + self.count)
            addresses.append(format_address(number))
            endpoints.append(
                Endpoint(
                    network_id=network.id,
                    network_name=network.name,
                    bridge=network.bridge,
                    host_interface=f"pvt{self.count}i{index}",
                    interface=f"eth{index}",
                    address=addresses[-1],
                    prefix_length=subnet.length,
                    gateway="" if network.internal else network.gateway,
                    mac=mac_of(number),
                    mtu=network.mtu,
                )
            )
        host = HostNetwork(TABLE)
        self.gone.append(host)
        space = self.new_space()
        with space.inside():
            host.attach(endpoints)
        return space, addresses, host

    def outside(self) -> Space:
        """A machine next to the host: 198.51.100.2, the host is 198.51.100.1 and its default gateway."""
        space = self.new_space()
        with Rtnetlink() as rtnetlink:
            rtnetlink.add_veth("uplink", peer="eth0", peer_index=2, namespace=space.fd)
            rtnetlink.flush()
            link = rtnetlink.link("uplink")
            assert link is not None
            rtnetlink.add_address(link.number, "198.51.100.1", 24)
            rtnetlink.flush()
        with space.inside(), Rtnetlink() as rtnetlink:
            rtnetlink.set_up(index=1)
            rtnetlink.add_address(2, "198.51.100.2", 24)
            rtnetlink.set_up(index=2)
            rtnetlink.add_route("", 0, gateway="198.51.100.1")
            rtnetlink.flush()
        return space

    def firewall(self) -> Firewall:
        host = HostNetwork(TABLE)
        self.gone.append(host)
        return host.firewall

    def release(self) -> None:
        for host in self.gone:
            host.close()
        for space in self.spaces:
            os.close(space.fd)


@pytest.fixture
def host() -> Iterator[Host]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscalls.unshare(CLONE_NEWNET)
    made = Host(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    with Rtnetlink() as rtnetlink:
        rtnetlink.set_up(index=1)
        rtnetlink.flush()
    try:
        yield made
    finally:
        made.release()
        syscalls.setns(back, CLONE_NEWNET)
        os.close(made.fd)
        os.close(back)


def run(*command: str) -> str:
    """What a program prints; fails if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def packed(address: str) -> int:
    return int(struct.unpack("!I", socket.inet_aton(address))[0])
