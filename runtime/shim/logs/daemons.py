"""What a container prints, as messages for syslog (RFC 3164, RFC 5424) and systemd's journal (its native protocol)."""

import os
import socket
import struct
import time
from collections.abc import Callable, Mapping

from runtime.oci.logging import RFC3164, RFC5424_MICRO, LogPlan
from runtime.shim.logs.messages import MessageSplitter
from runtime.shim.logs.record import STDERR, STDOUT
from runtime.shim.logs.remote import Outgoing
from runtime.shim.logs.writer import LogWriter

JOURNAL_SOCKET = "/run/systemd/journal/socket"
_ERROR, _INFO = 3, 6
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

Encode = Callable[[int, bytes, bool], bytes]


class DaemonWriter:
    """Sends messages, and keeps them in a file of its own besides, which `logs` reads."""

    __slots__ = ("_encode", "_kept", "_outgoing", "_splitters")

    def __init__(self, outgoing: Outgoing, kept: LogWriter, encode: Encode) -> None:
        self._outgoing = outgoing
        self._kept = kept
        self._encode = encode
        self._splitters = {STDOUT: MessageSplitter(), STDERR: MessageSplitter()}

    def write(self, stream: int, data: bytes) -> None:
        self._kept.write(stream, data)
        for text, complete in self._splitters[stream].feed(data):
            self._outgoing.send(self._encode(stream, text, complete))

    def finish_run(self) -> None:
        for stream, splitter in self._splitters.items():
            for text, complete in splitter.flush():
                self._outgoing.send(self._encode(stream, text, complete))

    def close(self) -> None:
        self.finish_run()
        self._outgoing.close()
        self._kept.close()


def syslog_encoder(plan: LogPlan, tag: str, *, stream: bool) -> Encode:
    """Messages as `syslog-format` says; on a `stream` each ends with a line feed, or begins with its length.

    The latter is for RFC 5424 by TLS (RFC 5425 section 4.3), as Docker has it.
    """
    host = socket.gethostname()
    pid = os.getpid()
    local = plan.address.kind in ("unix", "unixgram")
    counted = plan.address.kind == "tcp+tls" and plan.format != RFC3164

    def encode(source: int, text: bytes, complete: bool) -> bytes:
        priority = plan.facility * 8 + (_ERROR if source == STDERR else _INFO)
        now_ns = time.time_ns()
        if plan.format == RFC3164:
            moment = time.localtime(now_ns // 1_000_000_000)
            # Local daemons know their host; RFC 3164 section 4.1.2 has names of months in English.
            date = f"{_MONTHS[moment.tm_mon - 1]} {moment.tm_mday:2d} {time.strftime('%H:%M:%S', moment)}"
            head = f"<{priority}>{date} {'' if local else f'{host} '}{tag}[{pid}]: "
        else:
            head = f"<{priority}>1 {_rfc5424_time(now_ns, plan.format)} {host} {tag} {pid} {tag} - "
        message = head.encode() + text.removesuffix(b"\r")
        if counted:
            return b"%d %s" % (len(message), message)
        return message + (b"\n" if stream else b"")

    return encode


def _rfc5424_time(now_ns: int, form: str) -> str:
    seconds, rest = divmod(now_ns, 1_000_000_000)
    micro = f".{rest // 1000:06d}" if form == RFC5424_MICRO else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{micro}Z"


def journal_encoder(fields: Mapping[str, str]) -> Encode:
    """One entry per message; `fields` go into each. (systemd: "Native Journal Protocol")"""
    common = b"".join(_field(name, text.encode()) for name, text in fields.items())

    def encode(source: int, text: bytes, complete: bool) -> bytes:
        priority = _ERROR if source == STDERR else _INFO
        partial = b"" if complete else b"CONTAINER_PARTIAL_MESSAGE=true\n"
        return common + f"PRIORITY={priority}\n".encode() + partial + _field("MESSAGE", text)

    return encode


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return f"{name}\n".encode() + struct.pack("<Q", len(value)) + value + b"\n"
    return f"{name}=".encode() + value + b"\n"


def journal_name(name: str) -> str:
    """A label's or variable's name as the journal allows it: A-Z, 0-9 and underscores, the first one a letter."""
    text = "".join(char if char.isascii() and char.isalnum() else "_" for char in name.upper())
    return text.lstrip("_0123456789")
