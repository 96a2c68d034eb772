"""What happened to containers: DATA/events.jsonl, one JSON object a line, appended by whoever caused it.

An append is one write(2), so that lines of several processes never mix. A file that has grown to its limit becomes
events.1.jsonl, in place of the one before. Names of actions are Docker's.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from runtime.store.paths import Paths

VERSION = 1
_LIMIT_BYTES = 4 << 20
_CHUNK = 1 << 16

CREATE, START, DIE, STOP, KILL, DESTROY = "create", "start", "die", "stop", "kill", "destroy"
PAUSE, UNPAUSE, OOM = "pause", "unpause", "oom"


class Event(NamedTuple):
    """One thing that happened to a container. `attributes` are its image and name, and what belongs to the action."""

    time_ns: int
    action: str
    container_id: str
    project: str
    service: str
    attributes: Mapping[str, str]


def append_event(
    paths: Paths,
    action: str,
    container_id: str,
    *,
    project: str,
    service: str,
    attributes: Mapping[str, str],
) -> None:
    """Note something that has happened just now. A log that can't be written costs its line, nothing else."""
    fields = [VERSION, time.time_ns(), action, container_id, project, service, dict(attributes)]
    data = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    try:
        descriptor = os.open(paths.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
            if os.fstat(descriptor).st_size > _LIMIT_BYTES:
                os.rename(paths.events, paths.old_events)
        finally:
            os.close(descriptor)
    except OSError:
        pass


def parse_event(line: bytes) -> Event | None:
    """One line; None for what is damaged or of a version we do not know."""
    try:
        version, *fields = json.loads(line)
        return Event(*fields) if version == VERSION else None
    except (ValueError, TypeError):
        return None


class EventReader:
    """Reads the events so far, and those that come later when called again."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._descriptor = -1
        self._inode = 0
        self._rest = b""

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self) -> Iterator[Event]:
        """What has come since the last call; at the first one everything that is still there."""
        if self._descriptor < 0:
            yield from self._read_old()
        else:
            yield from self._read_open()
        if self._is_replaced():
            # What was written to the file between our last read and its renaming has been read just now.
            self.close()
            self._open()
            yield from self._read_open()

    def _read_old(self) -> Iterator[Event]:
        try:
            with open(self._paths.old_events, "rb") as file:
                yield from filter(None, map(parse_event, file))
        except FileNotFoundError:
            pass

    def _is_replaced(self) -> bool:
        try:
            return os.stat(self._paths.events).st_ino != self._inode
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self._paths.events, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._inode = os.fstat(self._descriptor).st_ino
        self._rest = b""

    def _read_open(self) -> Iterator[Event]:
        while self._descriptor >= 0 and (data := os.read(self._descriptor, _CHUNK)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from filter(None, map(parse_event, lines))
