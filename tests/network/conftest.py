"""A host of its own for each test: one fresh network namespace as "host", more as containers and as the
outside.
"""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runtime.linux import syscalls
from runtime.linux.constants import CLONE_NEWNET
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network.endpoint import HostNetwork
from runtime.network.firewall.nft import Firewall
from runtime.network.ipam import Subnet, format_address, mac_of, parse_subnet
from runtime.network.links import enable_forwarding, ensure_bridge
from runtime.network.plan import firewall_rules
from runtime.network.record import Address, Endpoint, NetworkRecord, Pool

TABLE = "pycompose_test"


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _address(subnet: Subnet, number: int) -> str:
    return format_address(subnet.network + number, subnet.bits)


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
            sock = socket.socket(family_of(address))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            sock.listen(16)
            sock.settimeout(3)
            return sock

    def connects(self, address: str, port: int, timeout: float = 3.0) -> bool:
        """Whether a TCP connection is accepted; a drop takes `timeout` seconds to be seen."""
        with self.inside():
            sock = socket.socket(family_of(address))
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

    def network(self, name: str, *subnets: str, **fields: Any) -> NetworkRecord:
        """A bridge with the first address of each subnet as gateway."""
        pools = tuple(Pool(text, _address(parse_subnet(text), 1)) for text in subnets)
        record = NetworkRecord(
            id=(name * 8).encode().hex()[:16],
            name=name,
            pools=pools,
            bridge=f"br-{name}",
            mtu=1400,
        )._replace(**fields)
        if record.driver == "bridge":
            with Rtnetlink() as rtnetlink:
                ensure_bridge(rtnetlink, record)
            enable_forwarding(ipv6=record.has_ipv6)
            host = HostNetwork(TABLE)
            host.firewall.ensure_network(firewall_rules(record, ipv6=False))
            if record.has_ipv6:
                host.firewall6.ensure_network(firewall_rules(record, ipv6=True))
            host.close()
        return record

    def container(
        self, *networks: NetworkRecord, last: int = 0, **fields: Any
    ) -> tuple[Space, list[str], HostNetwork]:
        """A namespace in these networks, its addresses, and what it was made with; `fields` go to its endpoints."""
        self.count += 1
        endpoints = [
            self.endpoint(network, index, last or 10 + self.count)._replace(**fields)
            for index, network in enumerate(networks)
        ]
        host = HostNetwork(TABLE)
        self.gone.append(host)
        space = self.new_space()
        with space.inside():
            host.attach(endpoints)
        return space, [item.address for endpoint in endpoints for item in endpoint.addresses], host

    def endpoint(self, network: NetworkRecord, index: int, number: int) -> Endpoint:
        addresses = []
        for pool in network.pools:
            subnet = parse_subnet(pool.subnet)
            gateway = "" if network.internal else pool.gateway
            addresses.append(Address(_address(subnet, number), subnet.length, gateway))
        bridged = network.driver == "bridge"
        return Endpoint(
            network_id=network.id,
            network_name=network.name,
            bridge=network.bridge if bridged else "",
            host_interface=f"pvt{self.count}i{index}" if bridged else "",
            interface=f"eth{index}",
            addresses=tuple(addresses),
            mac=mac_of(index << 16 | number),
            mtu=network.mtu,
            driver=network.driver,
            parent=network.parent,
            mode=network.mode,
        )

    def outside(self) -> Space:
        """A machine next to the host: 198.51.100.2 and 2001:db8::2, the host is …1 and its default gateway."""
        space = self.new_space()
        with Rtnetlink() as rtnetlink:
            rtnetlink.add_veth("uplink", peer="eth0", peer_index=2, namespace=space.fd)
            rtnetlink.flush()
            link = rtnetlink.link("uplink")
            assert link is not None
            rtnetlink.add_address(link.number, "198.51.100.1", 24)
            rtnetlink.add_address(link.number, "2001:db8::1", 64)
            rtnetlink.flush()
        with space.inside(), Rtnetlink() as rtnetlink:
            rtnetlink.set_up(index=1)
            rtnetlink.add_address(2, "198.51.100.2", 24)
            rtnetlink.add_address(2, "2001:db8::2", 64)
            rtnetlink.set_up(index=2)
            rtnetlink.add_route("", 0, gateway="198.51.100.1")
            rtnetlink.add_route("", 0, gateway="2001:db8::1")
            rtnetlink.flush()
        return space

    def firewall(self) -> Firewall:
        host = HostNetwork(TABLE)
        self.gone.append(host)
        return host.firewall

    def firewall6(self) -> Firewall:
        host = HostNetwork(TABLE)
        self.gone.append(host)
        return host.firewall6

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
