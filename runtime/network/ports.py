"""Ports of the host: held by a bound socket for as long as they lead to a container.

The kernel's NAT decides before sockets are asked, so a published port needs no listener; the socket
makes other programs see EADDRINUSE and lets the kernel choose a free port. Sockets must be made in the
host's namespace.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack

from runtime.errors import ConflictError, InvalidError, UnsupportedError
from runtime.linux.netlink import DUMP, HEADER, REQUEST, open_socket, split_messages
from runtime.network.ipam import parse_address
from runtime.oci.container_spec import PortRequest

_TIME_WAIT = "06"
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _BOUND_INACTIVE = 4, 20, 13
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}


def reserve(port: PortRequest) -> socket.socket:
    """A socket that holds the requested host port, or the first free one of its range; getsockname()
    tells which.

    Raises ConflictError naming the holder, InvalidError for an address that is not the host's or a port that
    may not be used, UnsupportedError.
    """
    if port.protocol not in _KINDS:
        raise InvalidError(f"unknown protocol {port.protocol!r} of port {port.container_port}")
    if port.host_ip:
        parse_address(port.host_ip)
    first, last = port.host_port, max(port.host_port_end, port.host_port)
    for number in range(first, last + 1):
        held = _try(port, number)
        if held is not None:
            return held
    raise _conflict(port, first, last)


def check_free(requests: Sequence[PortRequest]) -> None:
    """Raises what `reserve` would raise for any of these, all of them together; reserves nothing."""
    with ExitStack() as stack:
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


def _try(port: PortRequest, number: int) -> socket.socket | None:
    """The port, or None if it is taken."""
    held = _bind(port, number, reuse=False)
    if held is None and number and port.protocol == "tcp" and not _inodes("tcp", port.host_ip, number):
        # Only connections in TIME_WAIT are in the way, which a listening server would pass as well.
        held = _bind(port, number, reuse=True)
    return held


def _bind(port: PortRequest, number: int, *, reuse: bool) -> socket.socket | None:
    kind, protocol = _KINDS[port.protocol]
    try:
        sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        raise UnsupportedError(
            f"the kernel has no {port.protocol} sockets", hint=f"load the module `{port.protocol}`"
        ) from error
    try:
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((port.host_ip or "0.0.0.0", number))
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise _refused(port, number, error) from error
    return sock


def _refused(port: PortRequest, number: int, error: OSError) -> InvalidError:
    where = f"{port.host_ip or '0.0.0.0'}:{number}/{port.protocol}"
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "write an address that one of the host's interfaces has, or none"
        return InvalidError(f"port {where}: {port.host_ip} is not an address of this host", hint=hint)
    hint = "ports below 1024 need root" if error.errno == errno.EACCES else ""
    return InvalidError(f"port {where} cannot be used: {error.strerror}", hint=hint)


def _conflict(port: PortRequest, first: int, last: int) -> ConflictError:
    address = port.host_ip or "0.0.0.0"
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
    """Socket inodes that are bound to the port on an address that is in the way, TIME_WAIT left out."""
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
    return found


def _bound_inodes(host_ip: str, number: int) -> set[str]:
    """The same for sockets that are bound but don't listen, as ours: /proc does not list them.

    Source: sock_diag(7), struct inet_diag_req_v2 and inet_diag_msg; the state is known since Linux 6.8.
    """
    request = struct.pack("=BBBxI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 1 << _BOUND_INACTIVE)
    found = set()
    try:
        with open_socket(_NETLINK_SOCK_DIAG) as sock:
            sock.send(HEADER.pack(16 + len(request), _SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, 1, 0) + request)
            done = False
            while not done:
                data = sock.recv(1 << 17)
                for kind, _, _, start, end in split_messages(data):
                    done = done or kind != _SOCK_DIAG_BY_FAMILY
                    if done or end - start < 72:
                        continue
                    port, address = struct.unpack_from("!H2x4s", data, start + 4)
                    if port == number and _meets(address.hex(), host_ip):
                        found.add(str(struct.unpack_from("=I", data, start + 68)[0]))
    except OSError:  # a kernel without sock_diag
        pass
    return found


def _meets(address: str, host_ip: str) -> bool:
    """Whether a socket on `address` (hexadecimal words in the machine's byte order) keeps us from
    `host_ip`.
    """
    if host_ip in ("", "0.0.0.0") or not address.strip("0"):
        return True
    wanted = socket.inet_aton(host_ip)
    return bytes.fromhex(address[-8:]) in (wanted, wanted[::-1])
