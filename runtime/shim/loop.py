"""One epoll loop with descriptors and deadlines; it sleeps in the kernel until one of them is due."""

import select
import time
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Loop:
    """`watch` a descriptor, `at` a time; `run` until `stop`. Nothing wakes it up in between."""

    __slots__ = ("_callbacks", "_deadlines", "_epoll", "_stopped")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._deadlines: dict[str, tuple[int, Callable[[], None]]] = {}
        self._stopped = False

    def watch(self, descriptor: int, callback: Callable[[], None], events: int = READ) -> None:
        """Call `callback` whenever `descriptor` is readable (with WRITE: writable) or hung up."""
        self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; an unknown descriptor is fine."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def at(self, name: str, delay_ns: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, `delay_ns` from now; an earlier deadline of the same name is replaced."""
        self._deadlines[name] = (time.monotonic_ns() + delay_ns, callback)

    def cancel(self, name: str) -> None:
        self._deadlines.pop(name, None)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._epoll.poll(self._timeout_s()):
                callback = self._callbacks.get(descriptor)
                if callback is not None:
                    callback()
            self._run_due()

    def _timeout_s(self) -> float | None:
        if not self._deadlines:
            return None
        first = min(deadline for deadline, _ in self._deadlines.values())
        # Rounded up: epoll counts in milliseconds and would otherwise spin through the last one.
        return max(0.0, (first - time.monotonic_ns()) / 1e9 + 0.0005)

    def _run_due(self) -> None:
        now = time.monotonic_ns()
        for name in [name for name, (deadline, _) in self._deadlines.items() if deadline <= now]:
            due = self._deadlines.pop(name, None)
            if due is not None:
                due[1]()
