"""The protocol on STATE/containers/ID/control.sock: SOCK_SEQPACKET, one JSON message per packet.

    command → shim                                   shim → command
    {"v":1,"op":"stop","signal":15,"grace_ns":N}     {"ok":true}, then the connection ends with the shim
    {"v":1,"op":"kill","signal":9}                   {"ok":true}
    {"v":1,"op":"pause"}, {"v":1,"op":"resume"}      {"ok":true} or {"error":"…"}
    {"v":1,"op":"exec","process":{…}}                {"ok":true,"pid":N} or {"error":"…"}
    {"v":1,"op":"networks","endpoints":[…],"ports":[…],"links":{…}}  {"ok":true}
    {"v":1,"op":"hold","targets":[null,[ADDRESS,PORT]]} [sockets of host ports, to keep or to lead there]  {"ok":true}
    {"v":1,"op":"release"}                           {"ok":true}: holds no host port any more
    {"v":1,"op":"attach"} [stdout, stderr]           {"ok":true} [what the program reads, if anything] or {"error":"…"}
    {"v":1,"op":"subscribe"}                         {"status":…,"health":…} now and at every change,
                                                     {"exit":CODE,…} when a run has ended

"stop" says that the container is wanted stopped: it is acknowledged before any signal is sent, so that no
restart policy works against it. A second "stop" shortens the grace of the first. [Descriptors] travel with their
message.
"""

import json
import os
import socket
from collections.abc import Sequence
from typing import Any

from runtime.errors import StateError

VERSION = 1
_LARGEST_PACKET = 1 << 18
MOST_DESCRIPTORS = 64  # with one message


def listen(directory: str) -> socket.socket:
    """The shim's listening socket, reachable by its owner only."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    _with_short_path(directory, server.bind)
    server.listen(16)
    return server


def connect(directory: str) -> socket.socket | None:
    """A connection to the shim of a STATE directory; None if none answers there."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        _with_short_path(directory, client.connect)
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        return None
    return client


def _with_short_path(directory: str, act: Any) -> None:
    # sun_path holds 108 bytes; a root may be deeper than that, its descriptor's name never is.
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(f"/proc/self/fd/{descriptor}/control.sock")
    finally:
        os.close(descriptor)


def send(connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message, with copies of `descriptors`. Raises OSError."""
    packet = json.dumps({"v": VERSION, **message}).encode()
    if descriptors:
        socket.send_fds(connection, [packet], descriptors)
    else:
        connection.send(packet)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next message; None at the end of the connection. Raises OSError, StateError for damaged ones."""
    message, descriptors = receive_with_descriptors(connection)
    for descriptor in descriptors:
        os.close(descriptor)
    return message


def receive_with_descriptors(connection: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """`receive`, and the descriptors that came with the message, close-on-exec."""
    try:
        packet, descriptors, _, _ = socket.recv_fds(
            connection, _LARGEST_PACKET, MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        return None, []
    try:
        return _parse(packet), descriptors
    except StateError:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _parse(packet: bytes) -> dict[str, Any] | None:
    if not packet:
        return None
    try:
        message = json.loads(packet)
    except ValueError as error:
        raise StateError(f"unreadable message from a shim: {error}") from error
    if not isinstance(message, dict):
        raise StateError("unreadable message from a shim: not an object")
    return message


def request(
    directory: str, message: dict[str, Any], descriptors: Sequence[int] = ()
) -> dict[str, Any] | None:
    """Send one message and wait for its answer; None if the shim is gone (or goes meanwhile)."""
    connection = connect(directory)
    if connection is None:
        return None
    with connection:
        try:
            send(connection, message, descriptors)
            return receive(connection)
        except BrokenPipeError:
            return None
