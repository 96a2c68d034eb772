"""Waiting for links to be gone, by the kernel's notices (rtnetlink(7))."""

import socket
import struct
import time

from runtime.linux.netlink import split_messages

_RTM_DELLINK = 17
_RTMGRP_LINK = 1
_LINK = struct.Struct("=BxHiII")


class LinkMonitor:
    """Notices of links that go away (RTNLGRP_LINK); open it before causing them."""

    def __init__(self) -> None:
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((0, _RTMGRP_LINK))

    def close(self) -> None:
        self.socket.close()

    def await_removal(self, indexes: set[int], timeout_seconds: float) -> set[int]:
        """Waits until these links are gone; the indexes of those that are still there at the end.

        A full receive buffer (ENOBUFS) loses notices, so all are then reported as still there: look again.
        """
        left = set(indexes)
        deadline = time.monotonic() + timeout_seconds
        while left:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                break
            self.socket.settimeout(remaining)
            try:
                data = self.socket.recv(1 << 17)
            except (TimeoutError, OSError):
                break
            for kind, _, _, start, _ in split_messages(data):
                # A link that only leaves its bridge is announced by the same message with family AF_BRIDGE.
                family, _, index, _, _ = _LINK.unpack_from(data, start)
                if kind == _RTM_DELLINK and family == socket.AF_UNSPEC:
                    left.discard(index)
        return left
