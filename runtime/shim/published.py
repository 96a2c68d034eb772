"""A container's published ports: the host ports that are reserved for them, and where they lead.

They lead elsewhere when the container is put into other networks.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from runtime.network.firewall.rules import PublishedPort
from runtime.network.ipam import is_ipv6
from runtime.network.ports import plan_use, publishing_endpoint, reserve, wanted_addresses
from runtime.network.record import Endpoint
from runtime.oci.container_spec import PortRequest
from runtime.shim.state import PublishedAddress


class Publication(NamedTuple):
    """Ports whose host ports are reserved. A context manager that gives them up.

    `sockets` are descriptors, each with the container's address and port that the proxy is to lead it to, or with None
    where it is only to be kept.
    """

    ports: tuple[PublishedAddress, ...]
    sockets: tuple[tuple[int, tuple[str, int] | None], ...]
    reservations: ExitStack

    def __enter__(self) -> "Publication":
        return self

    def __exit__(self, *_: object) -> None:
        self.reservations.close()

    def batches(self, size: int) -> Iterator[tuple[list[int], list[tuple[str, int] | None]]]:
        """The sockets' descriptors and targets, so many at once as a message can carry."""
        for first in range(0, len(self.sockets), size):
            batch = self.sockets[first : first + size]
            yield [descriptor for descriptor, _ in batch], [target for _, target in batch]


def reserve_ports(requests: Sequence[PortRequest], endpoint: Endpoint) -> Publication:
    """Reserve the host ports of a container that is published at this endpoint. Raises as `reserve`."""
    ports: list[PublishedAddress] = []
    sockets: list[tuple[int, tuple[str, int] | None]] = []
    with ExitStack() as stack:
        for request in requests:
            reservation = stack.enter_context(reserve(request, endpoint))
            for address in wanted_addresses(request):
                use = plan_use(address, request.protocol, endpoint)
                bound = reservation.sockets.get(address)
                if bound is not None:
                    target = (use.proxied, request.container_port) if use.proxied else None
                    sockets.append((bound.fileno(), target))
                elif not use.direct:
                    continue
                ports.append(
                    PublishedAddress(
                        host_ip=address if bound is not None else _every_address(address),
                        host_port=reservation.number if bound is not None else 0,
                        protocol=request.protocol,
                        container_port=request.container_port,
                        container_ip=use.translated,
                        direct_ip=use.direct,
                    )
                )
        return Publication(tuple(ports), tuple(sockets), stack.pop_all())


def _every_address(address: str) -> str:
    """What stands for the host's addresses where none of them is used."""
    return "::" if is_ipv6(address) else "0.0.0.0"


def translations(ports: Iterable[PublishedAddress]) -> list[PublishedPort]:
    """What the kernel does for these ports."""
    out = []
    for port in ports:
        if port.container_ip:
            out.append(
                PublishedPort(
                    port.host_ip, port.host_port, port.protocol, port.container_ip, port.container_port
                )
            )
        if port.direct_ip:
            out.append(PublishedPort("", 0, port.protocol, port.direct_ip, port.container_port))
    return out


def lead_to(ports: Sequence[PublishedAddress], endpoint: Endpoint) -> tuple[PublishedAddress, ...]:
    """The same ports where the container is published at another endpoint of the same kind (`kind_of`)."""
    uses = [plan_use(port.host_ip, port.protocol, endpoint) for port in ports]
    return tuple(
        port._replace(container_ip=use.translated, direct_ip=use.direct)
        for port, use in zip(ports, uses, strict=True)
    )


def kind_of(endpoints: Sequence[Endpoint]) -> tuple[bool, bool] | None:
    """Which families' ports have no host port where the container has these endpoints; None = it has no ports."""
    endpoint = publishing_endpoint(endpoints)
    return None if endpoint is None else (endpoint.routed4, endpoint.routed6)
