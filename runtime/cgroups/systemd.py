"""systemd as cgroup manager: a container's cgroup is a transient scope that systemd is asked for over D-Bus.

Speaks the few messages needed (Hello, StartTransientUnit, StopUnit) itself: the wire format is that of the D-Bus
specification, "Message Protocol"; properties are those of org.freedesktop.systemd1(5). Only the OCI command uses it.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from runtime.cgroups.v2.files import weight_of
from runtime.errors import InvalidError, StateError, UnsupportedError

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources

_SOCKETS = ("/run/systemd/private", "/run/dbus/system_bus_socket")
_METHOD_CALL, _METHOD_RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_TIMEOUT_S = 25.0


class Scope(NamedTuple):
    """A parsed "slice:prefix:name": the unit, its slice, and the cgroup path the two lead to."""

    unit: str
    slice: str
    path: str


def parse_scope(text: str, container_id: str) -> Scope:
    """cgroupsPath as engines write it for systemd: "slice:prefix:name", each part may be empty.

    Raises InvalidError for anything else.
    """
    parts = text.split(":") if text else ["", "", ""]
    if len(parts) != 3:
        raise InvalidError(
            f"linux.cgroupsPath {text!r} is not of the form slice:prefix:name",
            hint="which systemd as manager needs",
        )
    slice_name, prefix, name = (
        parts[0] or "system.slice",
        parts[1] or "pycompose-oci",
        parts[2] or container_id,
    )
    if not slice_name.endswith(".slice") or "/" in slice_name:
        raise InvalidError(f"linux.cgroupsPath {text!r}: {slice_name!r} is not a slice")
    unit = name if name.endswith((".slice", ".scope")) else f"{prefix}-{name}.scope"
    return Scope(unit, slice_name, f"{slice_path(slice_name)}/{unit}")


def slice_path(name: str) -> str:
    """The path of a slice: "a-b.slice" lies in "a.slice" (systemd.slice(5))."""
    stem = name.removesuffix(".slice")
    if stem == "-":
        return ""
    words = stem.split("-")
    return "".join(f"/{'-'.join(words[: count + 1])}.slice" for count in range(len(words)))


def start_scope(scope: Scope, pid: int, description: str, resources: LinuxResources) -> None:
    """Have systemd make the scope with the process in it, and wait for it.

    It is delegated, and its limits are written by us; systemd is told those it knows too, or a reload would undo
    them. Raises UnsupportedError, StateError.
    """
    properties = _structs(
        [
            _property("Description", "s", _string(description)),
            _property("Slice", "s", _string(scope.slice)),
            _property("Delegate", "b", struct.pack("<I", 1)),
            _property("DefaultDependencies", "b", struct.pack("<I", 0)),
            _property("MemoryAccounting", "b", struct.pack("<I", 1)),
            _property("CPUAccounting", "b", struct.pack("<I", 1)),
            _property("TasksAccounting", "b", struct.pack("<I", 1)),
            _property("PIDs", "au", struct.pack("<II", 4, pid)),
            *(_property(name, "t", b"", number) for name, number in plan_limits(resources)),
        ]
    )
    body = _Body().string(scope.unit).string("replace").array(properties, 8).array(b"", 8).data
    with _connect() as bus:
        bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
    directories = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
    _wait(
        lambda: any(os.path.isdir(f"{top}{scope.path}") for top in directories), f"unit {scope.unit} to start"
    )


def plan_limits(resources: LinuxResources) -> list[tuple[str, int]]:
    """Limits as properties of a unit (systemd.resource-control(5)); -1 is "infinity", the largest number."""
    memory, cpu = resources.get("memory", {}), resources.get("cpu", {})
    limits: list[tuple[str, int]] = []
    if memory.get("limit"):
        limits.append(("MemoryMax", memory["limit"] % (1 << 64)))
    if memory.get("reservation"):
        limits.append(("MemoryLow", memory["reservation"] % (1 << 64)))
    if cpu.get("shares"):
        limits.append(("CPUWeight", weight_of(cpu["shares"])))
    if cpu.get("quota", -1) > 0:
        limits.append(("CPUQuotaPerSecUSec", cpu["quota"] * 1_000_000 // (cpu.get("period") or 100_000)))
    pids = resources.get("pids", {}).get("limit", 0)
    if pids:
        limits.append(("TasksMax", pids if pids > 0 else (1 << 64) - 1))
    return limits


def stop_scope(unit: str) -> None:
    """Have systemd forget the scope, whose processes have ended: most often it has by itself.

    Raises UnsupportedError.
    """
    with _connect() as bus:
        for member, signature, body in (
            ("StopUnit", "ss", _Body().string(unit).string("replace").data),
            ("ResetFailedUnit", "s", _Body().string(unit).data),
        ):
            try:
                bus.call(member, signature, body)
            except (StateError, TimeoutError):
                pass  # it knows no such unit any more, or is too busy to tell


class _Body:
    """The body of a message: values one after the other, each at its alignment (little endian)."""

    def __init__(self) -> None:
        self.data = b""

    def string(self, text: str) -> _Body:
        self.data += bytes(-len(self.data) % 4) + _string(text)
        return self

    def array(self, items: bytes, alignment: int) -> _Body:
        self.data += bytes(-len(self.data) % 4) + struct.pack("<I", len(items))
        self.data += bytes(-len(self.data) % alignment) + items
        return self


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def _signature(text: str) -> bytes:
    return bytes((len(text),)) + text.encode() + b"\0"


def _property(name: str, signature: str, value: bytes, number: int = 0) -> bytes:
    """A struct (name, variant); a "t" (64 bits) is given as `number`."""
    head = _string(name) + _signature(signature)
    if signature == "t":
        return head + bytes(-len(head) % 8) + struct.pack("<Q", number)
    return head + bytes(-len(head) % 4) + value


def _structs(values: Sequence[bytes]) -> bytes:
    """The elements of an array of structs: each at a multiple of 8, nothing after the last."""
    data = b""
    for value in values:
        data += bytes(-len(data) % 8) + value
    return data


def _align(alignment: int, value: bytes) -> bytes:
    return value + bytes(-len(value) % alignment)


class _Bus:
    """A connection to systemd's own socket, or to the system bus."""

    def __init__(self, connection: socket.socket, *, through_bus: bool) -> None:
        self._socket = connection
        self._serial = 0
        self._through_bus = through_bus
        self._socket.settimeout(_TIMEOUT_S)
        self._authenticate()
        if through_bus:
            bus = "org.freedesktop.DBus"
            self._call("Hello", "", b"", path="/org/freedesktop/DBus", interface=bus, destination=bus)

    def __enter__(self) -> _Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, member: str, signature: str, body: bytes) -> None:
        """Call a method of systemd's manager. Raises StateError with its answer if it fails."""
        self._call(
            member,
            signature,
            body,
            path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager",
            destination="org.freedesktop.systemd1" if self._through_bus else "",
        )

    def _authenticate(self) -> None:
        uid = str(os.geteuid()).encode().hex()
        self._socket.sendall(b"\0AUTH EXTERNAL " + uid.encode() + b"\r\n")
        if not self._socket.recv(256).startswith(b"OK"):
            raise UnsupportedError("systemd does not accept us on D-Bus")
        self._socket.sendall(b"BEGIN\r\n")

    def _call(
        self, member: str, signature: str, body: bytes, *, path: str, interface: str, destination: str
    ) -> None:
        self._serial += 1
        fields = [(_PATH, "o", path), (_INTERFACE, "s", interface), (_MEMBER, "s", member)]
        if destination:
            fields.append((_DESTINATION, "s", destination))
        header = b""
        for code, kind, text in fields:
            header += bytes(-len(header) % 8) + bytes((code,)) + _signature(kind) + _string(text)
        if signature:
            header += bytes(-len(header) % 8) + bytes((_SIGNATURE,)) + _signature("g") + _signature(signature)
        start = struct.pack("<BBBBIII", ord("l"), _METHOD_CALL, 0, 1, len(body), self._serial, len(header))
        self._socket.sendall(start + _align(8, header) + body)
        self._await_reply()

    def _await_reply(self) -> None:
        while True:
            kind, fields, body = self._receive()
            if fields.get(_REPLY_SERIAL) != self._serial:
                continue  # a signal
            if kind == _ERROR:
                size = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
                text = body[4 : 4 + size].decode(errors="replace")
                raise StateError(f"systemd: {text or fields.get(_ERROR_NAME, 'refused')}")
            return

    def _receive(self) -> tuple[int, dict[int, object], bytes]:
        start = self._read(16)
        order = "<" if start[:1] == b"l" else ">"
        kind = start[1]
        body_size, _, fields_size = struct.unpack(f"{order}III", start[4:])
        header = self._read(fields_size + -fields_size % 8)[:fields_size]
        return kind, _parse_fields(header, order), self._read(body_size)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self._socket.recv(size - len(data))
            if not chunk:
                raise UnsupportedError("systemd closed the connection")
            data += chunk
        return data


def _parse_fields(header: bytes, order: str) -> dict[int, object]:
    fields: dict[int, object] = {}
    place = 0
    while place < len(header):
        place += -place % 8
        code, size = header[place], header[place + 1]
        kind = header[place + 2 : place + 2 + size].decode()
        place += 3 + size
        if kind in ("s", "o"):
            place += -place % 4
            length = struct.unpack_from(f"{order}I", header, place)[0]
            fields[code] = header[place + 4 : place + 4 + length].decode(errors="replace")
            place += 5 + length
        elif kind == "u":
            place += -place % 4
            fields[code] = struct.unpack_from(f"{order}I", header, place)[0]
            place += 4
        elif kind == "g":
            length = header[place]
            fields[code] = header[place + 1 : place + 1 + length].decode()
            place += 2 + length
        else:
            break
    return fields


def _connect(paths: Sequence[str] = _SOCKETS) -> _Bus:
    for path in paths:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return _Bus(connection, through_bus=path.endswith("system_bus_socket"))
        except OSError:
            connection.close()
    raise UnsupportedError(
        "systemd as cgroup manager: it does not answer on D-Bus",
        hint=f"looked at {', '.join(paths)}; use the cgroupfs manager where systemd does not run",
    )


def _wait(done: object, what: str) -> None:
    assert callable(done)
    deadline = time.monotonic() + _TIMEOUT_S
    while not done():
        if time.monotonic() > deadline:
            raise StateError(f"waited {_TIMEOUT_S:.0f} s in vain for {what}")
        time.sleep(0.005)
