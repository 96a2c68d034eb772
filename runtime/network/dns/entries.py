"""Zone directories on disk: written by each endpoint's shim, read by all responders of the network."""

import fcntl
import os
import struct
import time
from collections.abc import Iterable

from runtime.network.dns.zone import Entry, format_entry, parse_entry

# struct flock: type, whence, start, length, pid (fcntl_locking(2))
_FLOCK = struct.Struct("hhqqi4x")
# A directory's mtime moves in ticks of up to 10 ms; a younger one may hide a change still to come.
_SETTLED_NS = 50_000_000


def write_entry(directory: str, container_id: str, entry: Entry) -> None:
    """Writes an endpoint's entry, by rename. Makes the directory if it is not there. Raises OSError."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    temporary = f"{directory}/.{container_id}.{os.getpid()}"
    with open(temporary, "wb") as file:
        file.write(format_entry(entry))
    os.rename(temporary, f"{directory}/{container_id}")


def remove_entry(directory: str, container_id: str) -> None:
    """Removes an endpoint's entry; gone already is no error."""
    try:
        os.unlink(f"{directory}/{container_id}")
    except FileNotFoundError:
        pass


def is_live(entry: Entry) -> bool:
    """Whether the shim of an entry still holds its lock (F_OFD_GETLK)."""
    if not entry.live:
        return True
    try:
        fd = os.open(entry.live, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(fd)


class ZoneReader:
    """The entries of one zone directory, read again only when the directory has changed."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._stamp: tuple[int, int] | None = None
        self._entries: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """The present entries; none if the directory is not there."""
        try:
            status = os.stat(self._directory)
        except OSError:
            self._stamp = None
            return ()
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != self._stamp:
            self._entries = tuple(self._read())
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
            self._stamp = stamp if settled else None
        return self._entries

    def _read(self) -> Iterable[Entry]:
        try:
            names = sorted(name for name in os.listdir(self._directory) if not name.startswith("."))
        except OSError:
            return
        for name in names:
            try:
                with open(f"{self._directory}/{name}", "rb") as file:
                    entry = parse_entry(file.read())
            except OSError:  # removed meanwhile
                continue
            if entry is not None:
                yield entry
