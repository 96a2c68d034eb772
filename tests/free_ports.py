"""Host ports for servers and published ports of tests."""

import random
import socket

# Below the range the kernel gives to clients, any of which could take a port between its choice and its use.
_FIRST, _LAST = 12000, 32000
_given: set[int] = set()


def free_port() -> int:
    """A TCP and UDP port that nobody has and that no other call in this process was given."""
    for _ in range(1000):
        port = random.randint(_FIRST, _LAST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port found")


def _is_free(port: int) -> bool:
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("", port))
            udp.bind(("", port))
    except OSError:
        return False
    return True
