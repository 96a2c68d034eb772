"""Published ports as they came out, and where they lead when their container's networks have changed. Pure."""

from collections.abc import Iterable, Sequence

from runtime.network.firewall.rules import PublishedPort
from runtime.network.ports import plan_use, publishing_endpoint
from runtime.network.record import Endpoint
from runtime.shim.state import PublishedAddress


def translations(ports: Iterable[PublishedAddress]) -> list[PublishedPort]:
    """What the kernel's NAT does for these ports."""
    return [
        PublishedPort(port.host_ip, port.host_port, port.protocol, port.container_ip, port.container_port)
        for port in ports
        if port.container_ip
    ]


def lead_to(ports: Sequence[PublishedAddress], endpoints: Sequence[Endpoint]) -> tuple[PublishedAddress, ...]:
    """The same ports where the container has these endpoints; they lead nowhere if none of them can have ports."""
    endpoint = publishing_endpoint(endpoints)
    return tuple(
        port._replace(
            container_ip=plan_use(port.host_ip, port.protocol, endpoint).translated if endpoint else ""
        )
        for port in ports
    )
