"""The DNS responder and the proxy of a container in its shim's loop."""

import time

from runtime.network.dns.server import Responder
from runtime.network.proxy import Proxy
from runtime.shim.loop import Loop

Server = Responder | Proxy


def watch_server(loop: Loop, server: Server) -> None:
    """Let the server handle what comes to its descriptors."""

    def watch(descriptor: int) -> None:
        def handle() -> None:
            server.handle(descriptor)
            _await(loop, server)

        loop.watch(descriptor, handle)

    for descriptor in server.filenos():
        watch(descriptor)


def forget_server(loop: Loop, server: Server) -> None:
    """The opposite, before it is closed."""
    loop.cancel(_timer_of(server))
    for descriptor in server.filenos():
        loop.forget(descriptor)


def _await(loop: Loop, server: Server) -> None:
    """Come back when the server has something to give up on; never while it is idle."""
    deadline = server.next_deadline()
    if deadline is None:
        loop.cancel(_timer_of(server))
        return

    def expire() -> None:
        server.expire()
        _await(loop, server)

    loop.at(_timer_of(server), max(0, int((deadline - time.monotonic()) * 1e9)), expire)


def _timer_of(server: Server) -> str:
    return f"server {server.filenos()[0]}"
