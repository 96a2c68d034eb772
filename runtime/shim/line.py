"""The line from a builder to its shim: one message per packet, descriptors with it; and errors that cross over.

    "lock"     the container's lock, taken                              [descriptor]
    "server"   control.sock, listening                                  [descriptor]
    "ports"    some of the PublishedAddresses, as tuples
    "hold"     for each descriptor None or where the proxy leads it     [bound sockets that hold ports]
    "dns"                                                               [UDP socket, TCP socket]
    "born"     pid of the container's first process                     [its pidfd]
    "started"  {"state", "report", "seccomp"}: the program runs         [console, if it has one]
    "error"    what kept it from running (`describe`)

Both ends are one interpreter, so marshal does: no Python code runs for it, of which a shim would keep the pages.
"""

import marshal
import socket
import struct
from collections.abc import Sequence
from typing import Any

from runtime.errors import (
    ConflictError,
    EngineError,
    ImageError,
    InvalidError,
    NotFoundError,
    StartError,
    StateError,
    UnsupportedError,
)

_LARGEST_PACKET = 1 << 16
# The kernel passes at most 253 descriptors with one message (SCM_MAX_FD).
MOST_DESCRIPTORS = 128
MOST_PORTS = 400  # with one message
_ANCILLARY_BYTES = socket.CMSG_SPACE(4 * MOST_DESCRIPTORS)
_ERRORS: dict[str, type[EngineError]] = {
    kind.__name__: kind
    for kind in (ConflictError, ImageError, InvalidError, NotFoundError, StateError, UnsupportedError)
}


def send(line: socket.socket, kind: str, value: Any = None, descriptors: Sequence[int] = ()) -> None:
    """Send one message, in several where it has many descriptors. Raises OSError.

    `value` is made of plain dicts, lists, tuples, strings, bytes and numbers only.
    """
    packet = marshal.dumps((kind, value))
    for first in range(0, max(1, len(descriptors)), MOST_DESCRIPTORS):
        socket.send_fds(line, [packet], descriptors[first : first + MOST_DESCRIPTORS])


def receive(line: socket.socket) -> tuple[str, Any, tuple[int, ...]]:
    """The next message with its descriptors, which are close-on-exec. Raises OSError, StartError at the end."""
    packet, ancillary, _, _ = line.recvmsg(_LARGEST_PACKET, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
    if not packet:
        raise StartError(
            "the process that set it up died",
            step="set-up",
            hint="it was killed from outside, or the machine is out of memory",
        )
    kind, value = marshal.loads(packet)
    data = b"".join(item[2] for item in ancillary)
    return kind, value, struct.unpack(f"={len(data) // 4}i", data)


def describe(error: BaseException) -> dict[str, Any]:
    """An error as plain values, for another process."""
    message: dict[str, Any] = {"error": str(error) or repr(error), "kind": type(error).__name__}
    if isinstance(error, EngineError):
        message["hint"] = error.hint
    if isinstance(error, StartError):
        message["step"] = error.step
        message["errno"] = error.errno
    return message


def recall(message: dict[str, Any], prefix: str = "") -> EngineError:
    """The inverse of `describe`; an error that is not of this package comes out as a StartError."""
    text = f"{prefix}{message['error']}"
    hint = str(message.get("hint", ""))
    kind = _ERRORS.get(str(message.get("kind")))
    if kind is not None:
        return kind(text, hint=hint)
    return StartError(text, step=str(message.get("step", "")), errno=int(message.get("errno", 0)), hint=hint)
