"""Bridges on the host: made when a network is made, and taken away so that nothing of them is left.

Endpoints of containers are endpoint.py's. Addresses come from ipam.py, the firewall is firewall/'s.
"""

import errno
import os
import time

from runtime.errors import ConflictError, UnsupportedError
from runtime.linux.link_monitor import LinkMonitor
from runtime.linux.netlink import NetlinkError
from runtime.linux.rtnetlink import Link, Prefix, Rtnetlink
from runtime.network.ipam import Subnet, mac_of, parse_address, parse_subnet
from runtime.network.plan import ISOLATED, OPTION_INHIBIT_IPV4, gateway_mode, is_on
from runtime.network.record import NetworkRecord

# Network namespaces are torn down in the background once their last process is gone; under load that has
# taken some 100 ms. A link still there after this belongs to a namespace that lives on and is deleted by
# hand.
_PATIENCE_SECONDS = 1.5
_REMOVAL_SECONDS = 10.0


def owners_of_prefixes(rtnetlink: Rtnetlink) -> list[tuple[Subnet, str]]:
    """The host's routes and addresses, which no new subnet may overlap, each with its interface's name."""
    names = {link.number: link.name for link in rtnetlink.links()}
    prefixes: list[Prefix] = [*rtnetlink.addresses(), *rtnetlink.routes()]
    return [
        (Subnet(p.network, p.length, p.bits), f"the host's interface {names.get(p.link, '?')}")
        for p in prefixes
        if p.length
    ]


def ensure_bridge(rtnetlink: Rtnetlink, network: NetworkRecord) -> int:
    """The network's bridge, up, with its gateways' addresses and sysctls; returns its interface number.
    Idempotent.

    Raises UnsupportedError without bridge support, ConflictError if a gateway's address is refused.
    """
    rtnetlink.add_bridge(network.bridge, mac=_bridge_mac(network), mtu=network.mtu)
    try:
        rtnetlink.flush()
    except NetlinkError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOENT):
            raise UnsupportedError(
                "the kernel cannot make bridges", hint="load the module `bridge`"
            ) from error
        if error.errno != errno.EEXIST:
            raise
    link = rtnetlink.link(network.bridge)
    if link is None:
        raise NetlinkError([(f"find bridge {network.bridge}", errno.ENODEV, "")])
    # Also when the bridge was there: an interrupted run may have stopped here.
    _write_sysctls(network.bridge, ipv6=network.has_ipv6)
    inhibited = is_on(network.options, OPTION_INHIBIT_IPV4, default=False)
    for pool in network.pools:
        # Left out for somebody who gives the bridge, or what he puts into it, the gateway's address himself, and where
        # not even the host is to get in.
        left_out = inhibited and not pool.is_ipv6
        if pool.gateway and not left_out and gateway_mode(network.options, ipv6=pool.is_ipv6) != ISOLATED:
            rtnetlink.add_address(link.number, pool.gateway, parse_subnet(pool.subnet).length)
    if not link.up:
        rtnetlink.set_up(index=link.number)
    try:
        rtnetlink.flush()
    except NetlinkError as error:
        if any(number != errno.EEXIST for _, number, _ in error.failed):
            raise ConflictError(f"network {network.name}: {error.strerror}") from error
    return link.number


def _bridge_mac(network: NetworkRecord) -> str:
    gateway = next((pool.gateway for pool in network.pools if pool.gateway and not pool.is_ipv6), "")
    return mac_of(parse_address(gateway)) if gateway else mac_of(int(network.id[:8], 16))


def _write_sysctls(bridge: str, *, ipv6: bool) -> None:
    """127.0.0.1 reaches published ports through this bridge only; no IPv6 on it unless the network has it."""
    _write(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet", "1")
    folder = f"/proc/sys/net/ipv6/conf/{bridge}"
    _write(f"{folder}/accept_ra", "0", optional=True)
    _write(f"{folder}/disable_ipv6", "0" if ipv6 else "1", optional=not ipv6)


def enable_forwarding(*, ipv6: bool = False) -> None:
    """Turns forwarding on where it is off; containers reach other machines only then."""
    path = "/proc/sys/net/ipv4/ip_forward"
    if _read(path) == "0":
        _write(path, "1")
    path = "/proc/sys/net/ipv6/conf/all/forwarding"
    if ipv6 and _read(path) == "0":
        _keep_router_advertisements()
        _write(path, "1")


def _keep_router_advertisements() -> None:
    """A host that forwards ignores router advertisements unless told otherwise (ip-sysctl.rst: accept_ra), and
    would lose its own default route.
    """
    folder = "/proc/sys/net/ipv6/conf"
    for name in os.listdir(folder):
        if name != "all" and _read(f"{folder}/{name}/accept_ra") == "1":
            _write(f"{folder}/{name}/accept_ra", "2", optional=True)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, value: str, *, optional: bool = False) -> None:
    try:
        with open(path, "w") as file:
            file.write(value)
    except FileNotFoundError:  # a kernel without IPv6
        if not optional:
            raise
    except OSError as error:
        raise UnsupportedError(
            f"cannot write {value} to {path}: {error.strerror}",
            hint="/proc/sys must be writable for networks (it is read-only in some containers)",
        ) from error


def delete_bridge(rtnetlink: Rtnetlink, bridge: str) -> None:
    """Deletes a bridge and returns when it and every link in it are gone. Nothing there: no error.

    Links of containers vanish with their namespaces; one that stays is deleted. Raises OSError if one
    can't be.
    """
    monitor = LinkMonitor()
    try:
        links = rtnetlink.links()
        found = next((link for link in links if link.name == bridge), None)
        if found is None:
            return
        ports = {link.number: link.name for link in links if link.master == found.number}
        _delete(rtnetlink, bridge)
        left = monitor.await_removal({found.number, *ports}, _PATIENCE_SECONDS if ports else _REMOVAL_SECONDS)
        if left:
            _delete_remaining(rtnetlink, {found.number: bridge, **ports}, left)
    finally:
        monitor.close()


def delete_stale_links(rtnetlink: Rtnetlink, prefix: str, keep: frozenset[str] = frozenset()) -> list[str]:
    """Deletes links whose names start with `prefix` but those in `keep`; for what killed shims left
    behind.
    """
    stale = [x.name for x in rtnetlink.links() if x.name.startswith(prefix) and x.name not in keep]
    for name in stale:
        _delete(rtnetlink, name)
    return stale


def _delete_remaining(rtnetlink: Rtnetlink, names: dict[int, str], left: set[int]) -> None:
    deadline = time.monotonic() + _REMOVAL_SECONDS
    present = _present(rtnetlink, names, left)
    while present and time.monotonic() < deadline:
        for link in present:
            _delete(rtnetlink, link.name)
        present = _present(rtnetlink, names, left)
    if present:
        raise NetlinkError([(f"delete link {present[0].name}", errno.EBUSY, "it is still there")])


def _present(rtnetlink: Rtnetlink, names: dict[int, str], left: set[int]) -> list[Link]:
    links = rtnetlink.links()
    return [link for link in links if link.number in left and link.name == names[link.number]]


def _delete(rtnetlink: Rtnetlink, name: str) -> None:
    rtnetlink.delete_link(name)
    try:
        rtnetlink.flush()
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise
