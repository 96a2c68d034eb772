"""Ports of the host: held by bound sockets for as long as they lead to a container.

The kernel's NAT decides before sockets are asked, so a published port needs no listener; the socket
makes other programs see EADDRINUSE and lets the kernel choose a free port. Where NAT can't help, the proxy
listens on it (proxy.py). Sockets must be made in the host's namespace.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from runtime.errors import ConflictError, InvalidError, UnsupportedError
from runtime.linux.limits import many_files
from runtime.linux.netlink import DUMP, HEADER, REQUEST, open_socket, split_messages
from runtime.network.endpoint import default_gateway
from runtime.network.ipam import is_ipv6, parse_address
from runtime.network.proxy import PROTOCOLS as PROXIED
from runtime.network.record import Endpoint
from runtime.oci.container_spec import PortRequest

_TIME_WAIT = "06"
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _BOUND_INACTIVE = 4, 20, 13
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_EVERY_ADDRESS = ("0.0.0.0", "::")
# How often the kernel is asked for a port that is free in both families.
_ATTEMPTS = 64


class Reservation:
    """One host port, held on one address or on all of the host's. A context manager that gives it back."""

    __slots__ = ("number", "protocol", "sockets")

    def __init__(self, protocol: str, number: int, sockets: dict[str, socket.socket]) -> None:
        self.protocol = protocol
        self.number = number
        self.sockets = sockets  # address -> socket

    def close(self) -> None:
        for held in self.sockets.values():
            held.close()

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reserve(port: PortRequest, endpoint: Endpoint | None = None) -> Reservation:
    """Holds the requested host port, or the first free one of its range.

    Without a host address it is held in IPv4 and, where the host has it, IPv6; in neither where the endpoint that it
    is to lead to is routed. Raises ConflictError naming the holder, InvalidError for an address that is not the
    host's or a port that may not be used, UnsupportedError.
    """
    if port.protocol not in _KINDS:
        raise InvalidError(f"unknown protocol {port.protocol!r} of port {port.container_port}")
    if port.host_ip:
        parse_address(port.host_ip)
    first, last = port.host_port, max(port.host_port_end, port.host_port)
    numbers = range(first, last + 1) if first else [0] * _ATTEMPTS
    addresses = [
        address
        for address in wanted_addresses(port)
        if endpoint is None or not endpoint.routed(ipv6=is_ipv6(address))
    ]
    for number in numbers:
        held = _reserve_number(port, addresses, number)
        if held is not None:
            return held
    raise _conflict(port, first, last)


def wanted_addresses(port: PortRequest) -> tuple[str, ...]:
    """The host's addresses that a port is asked for on; "0.0.0.0" and "::" = all of a family."""
    return (port.host_ip,) if port.host_ip else _EVERY_ADDRESS


def _reserve_number(port: PortRequest, addresses: Sequence[str], number: int) -> Reservation | None:
    held: dict[str, socket.socket] = {}
    for address in addresses:
        try:
            bound = _try(port.protocol, address, number)
        except (InvalidError, UnsupportedError):
            if address == "::" and held:
                continue  # a host without IPv6
            raise
        if bound is None:
            Reservation(port.protocol, number, held).close()
            return None
        number = bound.getsockname()[1]
        held[address] = bound
    return Reservation(port.protocol, number, held)


class Use(NamedTuple):
    """How a port gets to the container: the address the kernel translates to, the one the proxy connects to, and the
    one that others may use themselves.
    """

    translated: str = ""
    proxied: str = ""
    direct: str = ""


def publishing_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The endpoint whose addresses published ports lead to: that of the default route, else the first of a bridge.

    None of an internal network: there is no way in from outside either.
    """
    bridged = [endpoint for endpoint in endpoints if endpoint.driver == "bridge" and not endpoint.internal]
    chosen = default_gateway(bridged) or default_gateway(bridged, ipv6=True)
    if chosen is not None:
        return bridged[chosen[0]]
    return bridged[0] if bridged else None


def plan_use(host_ip: str, protocol: str, endpoint: Endpoint) -> Use:
    """How a port of one of the host's addresses ("0.0.0.0" and "::" = all of a family) gets to an endpoint.

    The kernel does it wherever it can. It can't for ::1, which IPv6 never translates, nor from one family to the
    other; the proxy speaks TCP and UDP.
    """
    ipv6 = is_ipv6(host_ip)
    same, other = endpoint.address(ipv6=ipv6), endpoint.address(ipv6=not ipv6)
    if endpoint.routed(ipv6=ipv6):
        return Use(direct=same)
    if not same:
        return Use(proxied=other if protocol in PROXIED else "")
    loopback6 = host_ip in ("::", "::1") and protocol in PROXIED
    return Use(
        translated="" if host_ip == "::1" else same,
        proxied=same if loopback6 else "",
        direct=same if endpoint.trusting else "",
    )


def check_free(requests: Sequence[PortRequest]) -> None:
    """Raises what `reserve` would raise for any of these, all of them together; reserves nothing."""
    with many_files(), ExitStack() as stack:
        for request in requests:
            stack.enter_context(reserve(request))


def find_holder(protocol: str, host_ip: str, number: int) -> str:
    """ "nginx (pid 123)" for who has that port, "" if it can't be seen. Source: proc_pid_net(5)."""
    inodes = _inodes(protocol, host_ip, number)
    if protocol == "tcp":
        inodes |= _bound_inodes(host_ip, number)
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    with open(f"/proc/{pid}/comm") as file:
                        return f"{file.read().strip()} (pid {pid})"
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return ""


def _try(protocol: str, address: str, number: int) -> socket.socket | None:
    """The port, or None if it is taken."""
    held = _bind(protocol, address, number, reuse=False)
    if held is None and number and protocol == "tcp" and not _inodes("tcp", address, number):
        # Only connections that have ended are in the way, which a listening server would pass as well.
        held = _bind(protocol, address, number, reuse=True)
    return held


def _bind(protocol: str, address: str, number: int, *, reuse: bool) -> socket.socket | None:
    kind, ip_protocol = _KINDS[protocol]
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    try:
        sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, ip_protocol)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise ConflictError(
                f"no more files can be opened, not even for port {number}/{protocol}",
                hint="each published port takes one or two: raise the hard limit of open files (ulimit -Hn)",
            ) from error
        if family == socket.AF_INET6 and error.errno == errno.EAFNOSUPPORT:
            raise UnsupportedError(
                "the kernel has no IPv6", hint="publish the port on an IPv4 address"
            ) from error
        raise UnsupportedError(
            f"the kernel has no {protocol} sockets", hint=f"load the module `{protocol}`"
        ) from error
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, number))
        if reuse:  # from now on it is to keep others away
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise _refused(protocol, address, number, error) from error
    return sock


def _refused(protocol: str, address: str, number: int, error: OSError) -> InvalidError:
    where = f"{_host(address)}:{number}/{protocol}"
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "write an address that one of the host's interfaces has, or none"
        return InvalidError(f"port {where}: {address} is not an address of this host", hint=hint)
    hint = "ports below 1024 need root" if error.errno == errno.EACCES else ""
    return InvalidError(f"port {where} cannot be used: {error.strerror}", hint=hint)


def _host(address: str) -> str:
    return f"[{address}]" if is_ipv6(address) else address


def _conflict(port: PortRequest, first: int, last: int) -> ConflictError:
    address = _host(port.host_ip or _EVERY_ADDRESS[0])
    if last > first:
        return ConflictError(
            f"all ports {address}:{first}-{last}/{port.protocol} are taken", hint="choose another range"
        )
    if first == 0:
        return ConflictError(f"no free {port.protocol} port is left on {address}")
    holder = find_holder(port.protocol, port.host_ip, first)
    by = f" by {holder}" if holder else ""
    return ConflictError(
        f"port {address}:{first}/{port.protocol} is already taken{by}",
        hint="stop that program, or publish another host port",
    )


def _inodes(protocol: str, host_ip: str, number: int) -> set[str]:
    """Socket inodes that are bound to the port on an address that is in the way.

    Left out are connections in TIME_WAIT, and those that nobody has open any more: they have no inode.
    """
    found = set()
    for family in ("", "6"):
        try:
            with open(f"/proc/thread-self/net/{protocol}{family}") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, hexadecimal = fields[1].rpartition(":")
            if int(hexadecimal, 16) == number and fields[3] != _TIME_WAIT and _meets(address, host_ip):
                found.add(fields[9])
    return found - {"0"}


def _bound_inodes(host_ip: str, number: int) -> set[str]:
    """The same for sockets that are bound but don't listen, as ours: /proc does not list them.

    Source: sock_diag(7), struct inet_diag_req_v2 and inet_diag_msg; the state is known since Linux 6.8.
    """
    found = set()
    try:
        with open_socket(_NETLINK_SOCK_DIAG) as sock:
            for family in (socket.AF_INET, socket.AF_INET6):
                for port, address, inode in _diagnose(sock, family):
                    if port == number and _meets(address.hex(), host_ip):
                        found.add(str(inode))
    except OSError:  # a kernel without sock_diag
        pass
    return found


def _diagnose(sock: socket.socket, family: int) -> list[tuple[int, bytes, int]]:
    """(port, address, inode) of all TCP sockets of a family that are bound only. Raises OSError."""
    request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 0, 1 << _BOUND_INACTIVE)
    sock.send(HEADER.pack(16 + len(request), _SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, 1, 0) + request)
    width = 16 if family == socket.AF_INET6 else 4
    found: list[tuple[int, bytes, int]] = []
    while True:
        data = sock.recv(1 << 17)
        for kind, _, _, start, end in split_messages(data):
            if kind != _SOCK_DIAG_BY_FAMILY:
                return found
            if end - start >= 72:
                port = struct.unpack_from("!H", data, start + 4)[0]
                inode = struct.unpack_from("=I", data, start + 68)[0]
                found.append((port, data[start + 8 : start + 8 + width], inode))


def _meets(address: str, host_ip: str) -> bool:
    """Whether a socket on `address` (hexadecimal, its words in network order or, as /proc has them, in the
    machine's) keeps us from `host_ip`.
    """
    if host_ip in ("", *_EVERY_ADDRESS) or not address.strip("0"):
        return True
    wanted = socket.inet_pton(socket.AF_INET6 if is_ipv6(host_ip) else socket.AF_INET, host_ip)
    swapped = b"".join(wanted[start : start + 4][::-1] for start in range(0, len(wanted), 4))
    return bytes.fromhex(address)[-len(wanted) :] in (wanted, swapped)
