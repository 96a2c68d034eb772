"""News of one container, straight from its shim."""

import socket
from typing import TYPE_CHECKING, Any

from runtime.errors import StateError
from runtime.shim import control

if TYPE_CHECKING:
    from runtime.engine.containers import Containers


class Subscription:
    """`fileno` gets readable whenever the container's status or health may have changed, or its shim has ended."""

    __slots__ = ("_connection",)

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        return self._connection.fileno()

    def take(self) -> bool:
        """Take one message; False where the shim has ended and no more will come."""
        return self.receive() is not None

    def receive(self) -> dict[str, Any] | None:
        """The next message as `shim.control` describes it; None where the shim has ended."""
        try:
            return control.receive(self._connection)
        except (OSError, StateError):
            return None

    def close(self) -> None:
        self._connection.close()


def subscribe(containers: "Containers", container_id: str) -> Subscription | None:
    """Subscribe to a container; None if it has no shim."""
    connection = control.connect(containers.live_directory(container_id))
    if connection is None:
        return None
    try:
        control.send(connection, {"op": "subscribe"})
    except OSError:
        connection.close()
        return None
    return Subscription(connection)
