"""A container on its way down, from the command's side."""

import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

from runtime.container.kill import parse_signal
from runtime.errors import StateError
from runtime.shim import control
from runtime.store.locks import is_locked

if TYPE_CHECKING:
    from runtime.engine.containers import Container, Containers

# How long a shim may take for its own end after the program was killed, before it is killed itself.
_SHIM_GRACE_S = 10.0


class Stopping:
    """Wait until `fileno` is readable, at most until `deadline` (time.monotonic), then call `finish`.

    `fileno` is -1 where there is nothing to wait for.
    """

    __slots__ = ("_connection", "_container", "_containers", "_directory", "_pidfd", "deadline")

    def __init__(self, containers: "Containers", container: "Container", *, grace_ns: int) -> None:
        self._containers = containers
        self._container = container
        self._directory = containers.live_directory(container.id)
        self._pidfd = _open_shim(container, self._directory)
        self._connection: socket.socket | None = None
        self.deadline = time.monotonic() + grace_ns / 1e9 + _SHIM_GRACE_S
        if self._pidfd >= 0:
            self._ask(parse_signal(containers.stop_signal(container)), grace_ns)

    def fileno(self) -> int:
        return self._pidfd

    def _ask(self, number: int, grace_ns: int) -> None:
        connection = control.connect(self._directory)
        if connection is None:
            return
        try:
            control.send(connection, {"op": "stop", "signal": number, "grace_ns": grace_ns})
            # The shim has taken note before the program gets its signal.
            control.receive(connection)
        except (OSError, StateError):
            # It ended by itself at this moment; its pidfd says when it is gone.
            pass
        self._connection = connection

    def kill(self) -> None:
        """Do not wait any longer: kill the program now."""
        if self._connection is not None:
            try:
                control.send(self._connection, {"op": "stop", "signal": signal.SIGKILL, "grace_ns": 0})
            except OSError:
                pass

    def finish(self) -> None:
        """Wait for the shim's end, killing it when its time is over, and leave nothing of it."""
        if self._pidfd >= 0:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if not poll.poll(max(0.0, (self.deadline - time.monotonic()) * 1000)):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
                poll.poll()
            os.close(self._pidfd)
            self._pidfd = -1
        if self._connection is not None:
            self._connection.close()
        self._containers.repair(self._container.id)


def _open_shim(container: "Container", directory: str) -> int:
    """A pidfd of the container's shim, or -1 if it has none (any more)."""
    if container.live is None:
        return -1
    try:
        pidfd = os.pidfd_open(container.live.shim_pid)
    except ProcessLookupError:
        return -1
    # The lock is held for the shim's life: held now, after the open, the pid was not given to somebody else.
    if is_locked(f"{directory}/lock"):
        return pidfd
    os.close(pidfd)
    return -1
