"""Stands in for socket: the C module's constants and a class with the few methods added that it lacks."""

import _socket
import struct
from _socket import *  # noqa: F403

from borrow import lender

_DESCRIPTOR_BYTES = 4


class socket(_socket.socket):  # noqa: N801
    """A socket that closes itself at the end of a `with`."""

    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def accept(self):
        """accept(2): a socket, which is not inherited, and the peer's address."""
        number, address = self._accept()
        return socket(self.family, self.type, self.proto, fileno=number), address


def socketpair(family, kind):
    """socketpair(2)."""
    return tuple(socket(family, kind, 0, fileno=end.detach()) for end in _socket.socketpair(family, kind))


def send_fds(connection, buffers, descriptors):
    """Send a message with descriptors; the number of bytes sent."""
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    return connection.sendmsg(buffers, [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def recv_fds(connection, size, count):
    """Receive a message and at most `count` descriptors: (message, descriptors, flags, address)."""
    message, ancillary, flags, address = connection.recvmsg(size, _socket.CMSG_LEN(count * _DESCRIPTOR_BYTES))
    descriptors = []
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            whole = len(data) // _DESCRIPTOR_BYTES
            descriptors += struct.unpack(f"{whole}i", data[: whole * _DESCRIPTOR_BYTES])
    return message, descriptors, flags, address


__getattr__ = lender("socket")
