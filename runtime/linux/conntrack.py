"""Forgetting tracked UDP flows, through ctnetlink (nfnetlink_conntrack.h).

NAT is decided at the first packet of a flow. A client that goes on sending keeps its old decision alive,
so a port that now leads to a new container would never reach it. TCP connections end by themselves.
"""

import errno
import socket
import struct
from collections.abc import Collection

from runtime.linux.netlink import (
    ACK,
    DUMP,
    HEADER,
    NESTED,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    NetlinkError,
    decode_attributes,
    decode_error,
    encode_attribute,
    open_socket,
    split_messages,
)

_NETLINK_NETFILTER = 12
_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_*
_TUPLE_ORIGINAL, _TUPLE_PROTOCOL, _NUMBER, _DESTINATION_PORT = 1, 2, 1, 3
_HEADER = struct.pack("!BBH", socket.AF_INET, 0, 0)


class Conntrack:
    """A ctnetlink socket of the namespace it was opened in."""

    def __init__(self) -> None:
        self.socket = open_socket(_NETLINK_NETFILTER)
        self._sequence = 0

    def close(self) -> None:
        self.socket.close()

    def forget_udp(self, ports: Collection[int]) -> int:
        """Deletes tracked IPv4 UDP flows that were first sent to one of these ports; returns how many.

        Does nothing where the kernel has no nf_conntrack_netlink. Raises OSError.
        """
        found = self._flows(ports)
        for flow in found:
            self._delete(flow)
        return len(found)

    def _flows(self, ports: Collection[int]) -> list[bytes]:
        """The original tuples of matching flows, as attributes."""
        self._send(_GET, DUMP, b"")
        found: list[bytes] = []
        while True:
            data = self.socket.recv(1 << 17)
            for kind, flags, sequence, start, end in split_messages(data):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    number, text = decode_error(data, flags, start, end)
                    if number in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT):  # no nf_conntrack_netlink
                        return []
                    raise NetlinkError([("list tracked connections", number, text)])
                original = decode_attributes(data, start + 4, end).get(_TUPLE_ORIGINAL, b"")
                if _udp_port(original) in ports:
                    found.append(original)

    def _delete(self, original: bytes) -> None:
        self._send(_DELETE, ACK, encode_attribute(_TUPLE_ORIGINAL | NESTED, original))
        while True:
            data = self.socket.recv(1 << 17)
            for kind, flags, sequence, start, end in split_messages(data):
                if kind == NLMSG_ERROR and sequence == self._sequence:
                    number, text = decode_error(data, flags, start, end)
                    if number not in (0, errno.ENOENT):
                        raise NetlinkError([("forget a tracked connection", number, text)])
                    return

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = 20 + len(body)
        self.socket.send(HEADER.pack(length, kind, REQUEST | flags, self._sequence, 0) + _HEADER + body)


def _udp_port(original: bytes) -> int:
    """The destination port of a tuple, -1 if it is not UDP."""
    protocol = decode_attributes(original, 0, len(original)).get(_TUPLE_PROTOCOL, b"")
    fields = decode_attributes(protocol, 0, len(protocol))
    if fields.get(_NUMBER) != b"\x11" or _DESTINATION_PORT not in fields:
        return -1
    return int(struct.unpack("!H", fields[_DESTINATION_PORT])[0])
