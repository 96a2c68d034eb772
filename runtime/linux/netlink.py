"""Netlink framing shared by rtnetlink and nfnetlink: messages, attributes, errors, the socket (netlink(7)).

Everything here is about bytes and one socket; what the messages mean belongs to rtnetlink.py and
nfnetlink.py.
"""

import os
import socket
import struct
from collections.abc import Iterator

NLMSG_ERROR, NLMSG_DONE = 2, 3
REQUEST, ACK, EXCL, CREATE, APPEND, DUMP = 0x1, 0x4, 0x200, 0x400, 0x800, 0x300
DUMP_INTERRUPTED = 0x10
NESTED = 0x8000
GET_STRICT_CHECK = 12
SOL_NETLINK = 270
HEADER = struct.Struct("=IHHII")

_CAPPED, _ACK_TLVS = 0x100, 0x200
_CAP_ACK, _EXT_ACK = 10, 11
_ATTRIBUTE = struct.Struct("=HH")
# A reply that takes longer than this means the kernel holds its lock for somebody else's huge change.
_TIMEOUT_SECONDS = 30.0


class NetlinkError(OSError):
    """One or more messages of a batch failed.

    `failed` has (what was asked, errno, the kernel's own words).
    """

    def __init__(self, failed: list[tuple[str, int, str]]) -> None:
        what, number, text = failed[0]
        super().__init__(number, f"{what}: {text}" if text else f"{what}: {os.strerror(number)}")
        self.failed = tuple(failed)


def encode_attribute(kind: int, value: bytes) -> bytes:
    """One padded netlink attribute (struct nlattr)."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length & 3)


def decode_attributes(data: bytes, offset: int, end: int) -> dict[int, bytes]:
    """The attributes between two offsets by their number without flag bits; later ones win."""
    found: dict[int, bytes] = {}
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def split_messages(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(type, flags, sequence number, start of body, end) of each netlink message of a datagram."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < 16 or offset + length > len(data):
            return
        yield kind, flags, sequence, offset + 16, offset + length
        offset += (length + 3) & ~3


def decode_error(data: bytes, flags: int, start: int, end: int) -> tuple[int, str]:
    """(errno or 0, the kernel's explanation) of an NLMSG_ERROR body (netlink(7), extended
    acknowledgement).
    """
    code: int = struct.unpack_from("=i", data, start)[0]
    text = ""
    if code and flags & _ACK_TLVS:
        original: int = struct.unpack_from("=I", data, start + 4)[0]
        skip = start + 20 if flags & _CAPPED else start + 4 + ((original + 3) & ~3)
        message = decode_attributes(data, skip, end).get(1, b"")
        text = message.rstrip(b"\0").decode(errors="replace")
    return -code, text


def open_socket(protocol: int) -> socket.socket:
    """A netlink socket with explanations of errors switched on. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        for option in (_EXT_ACK, _CAP_ACK):
            sock.setsockopt(SOL_NETLINK, option, 1)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        sock.settimeout(_TIMEOUT_SECONDS)
        sock.bind((0, 0))
    except OSError:
        sock.close()
        raise
    return sock
