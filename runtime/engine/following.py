"""Follows the logs of several containers as they are written, through stops and restarts. Nothing is polled."""

import os
import select
import struct
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import TYPE_CHECKING, NamedTuple

from runtime.engine.subscription import Subscription
from runtime.linux.syscalls import inotify_add_watch, inotify_init1
from runtime.shim.logs.reader import LogReader
from runtime.shim.logs.record import Line

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine

_IN_MODIFY = 0x2
_IN_CREATE = 0x100
_IN_ONLYDIR = 0x01000000
_EVENT = struct.Struct("iIII")  # struct inotify_event; a name of that length follows


class LogEvent(NamedTuple):
    """A line of a container, or the end of it (`ended`, with its exit code)."""

    container: "Container"
    line: Line | None = None
    ended: bool = False
    exit_code: int = 0


def _time_of(event: LogEvent) -> int:
    return event.line.time_ns if event.line else 0


class LogFollower:
    """`lines_so_far`, then `poll` again and again; `live` tells whether a followed container still has a shim.

    `tail` -1 = all lines; `since_ns`, `until_ns` bound the time (ns since the epoch, 0 = open).
    """

    def __init__(
        self,
        engine: "Engine",
        containers: "list[Container]",
        *,
        tail: int = -1,
        since_ns: int = 0,
        until_ns: int = 0,
        joins: Callable[["Container"], bool] | None = None,
    ) -> None:
        """`joins` tells of containers that appear while the others are followed which of them to follow too."""
        self._engine = engine
        self._joins = joins
        self._live_watch = -1
        self._containers = {container.id: container for container in containers}
        self._tail = tail
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._readers = {item.id: LogReader(engine.containers.log_path(item.id)) for item in containers}
        self._poll = select.poll()
        self._inotify = -1
        self._subscriptions: dict[int, tuple[str, Subscription]] = {}
        self._wakers: set[int] = set()

    def lines_so_far(self) -> Iterator[LogEvent]:
        """What the logs hold now, merged by time, `tail` lines of each."""
        return merge(*map(self._so_far, self._readers), key=_time_of)

    def _so_far(self, container_id: str) -> Iterator[LogEvent]:
        reader, container = self._readers[container_id], self._containers[container_id]
        lines: Iterable[Line] = reader.read() if self._tail < 0 else reader.skip_to_tail(self._tail)
        for line in lines:
            if self._in_time(line):
                yield LogEvent(container, line)

    def _in_time(self, line: Line) -> bool:
        return line.time_ns >= self._since_ns and (not self._until_ns or line.time_ns <= self._until_ns)

    def rest(self) -> Iterator[LogEvent]:
        """Unfinished last lines, for a reader that will not follow."""
        for container_id, reader in self._readers.items():
            for line in reader.rest():
                if self._in_time(line):
                    yield LogEvent(self._containers[container_id], line)

    @property
    def live(self) -> bool:
        return bool(self._subscriptions)

    def watch(self) -> None:
        """Begin to follow."""
        self._inotify = inotify_init1()
        self._poll.register(self._inotify, select.POLLIN)
        for container_id in self._containers:
            self._watch(container_id)
        live = os.path.dirname(self._engine.containers.live_directory("x"))
        os.makedirs(live, mode=0o711, exist_ok=True)
        self._live_watch = inotify_add_watch(self._inotify, live, _IN_CREATE | _IN_ONLYDIR)

    def _watch(self, container_id: str) -> None:
        # The directory, not the file: another one may take its place.
        directory = os.path.dirname(self._engine.containers.log_path(container_id))
        inotify_add_watch(self._inotify, directory, _IN_MODIFY | _IN_CREATE | _IN_ONLYDIR)
        self._subscribe(container_id)

    def _take_events(self) -> None:
        """Read what inotify tells (inotify(7)); a new live directory may be that of a container to follow too."""
        data = os.read(self._inotify, 1 << 16)
        offset, appeared = 0, False
        while offset < len(data):
            watch, _, _, length = _EVENT.unpack_from(data, offset)
            appeared = appeared or watch == self._live_watch
            offset += _EVENT.size + length
        if not appeared or self._joins is None:
            return
        for container in self._engine.containers.list():
            if container.id not in self._containers and self._joins(container):
                self._containers[container.id] = container
                self._readers[container.id] = LogReader(self._engine.containers.log_path(container.id))
                self._watch(container.id)

    def ended(self) -> Iterator[LogEvent]:
        """The ends of containers that had ended before they could be watched."""
        live = {container_id for container_id, _ in self._subscriptions.values()}
        for container_id in self._containers:
            if container_id not in live:
                yield from self._end(container_id)

    def _subscribe(self, container_id: str) -> None:
        if any(known == container_id for known, _ in self._subscriptions.values()):
            return
        subscription = self._engine.containers.subscribe(container_id)
        if subscription is not None:
            self._subscriptions[subscription.fileno()] = (container_id, subscription)
            self._poll.register(subscription.fileno(), select.POLLIN)

    def wake_on(self, descriptor: int) -> None:
        """`poll` returns when `descriptor` is readable too, and leaves it to the caller."""
        self._wakers.add(descriptor)
        self._poll.register(descriptor, select.POLLIN)

    def sleep_on(self, descriptor: int) -> None:
        """`poll` looks at `descriptor` no more."""
        self._wakers.discard(descriptor)
        self._poll.unregister(descriptor)

    def poll(self, timeout_s: float | None = None) -> list[LogEvent]:
        """Wait for news and give them; an empty list after `timeout_s` seconds without any."""
        ended: list[str] = []
        for descriptor, _ in self._poll.poll(None if timeout_s is None else timeout_s * 1000):
            if descriptor == self._inotify:
                self._take_events()
            elif descriptor not in self._wakers:
                container_id, subscription = self._subscriptions[descriptor]
                if not subscription.take():
                    self._poll.unregister(descriptor)
                    del self._subscriptions[descriptor]
                    subscription.close()
                    ended.append(container_id)
        for container_id in self._containers:
            if container_id not in ended:
                self._subscribe(container_id)
        return [*self._new_lines(), *(event for item in ended for event in self._end(item))]

    def _new_lines(self) -> Iterator[LogEvent]:
        for container_id, reader in self._readers.items():
            for line in reader.read():
                if self._in_time(line):
                    yield LogEvent(self._containers[container_id], line)

    def _end(self, container_id: str) -> Iterator[LogEvent]:
        for line in self._readers[container_id].rest():
            yield LogEvent(self._containers[container_id], line)
        # A container that was removed meanwhile has ended too.
        found = [item for item in self._engine.containers.list() if item.id == container_id]
        ended = found[0].exit if found else None
        yield LogEvent(self._containers[container_id], ended=True, exit_code=ended.code if ended else 0)

    def close(self) -> None:
        for _, subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()
        for reader in self._readers.values():
            reader.close()
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1
