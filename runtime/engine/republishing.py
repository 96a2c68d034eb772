"""Lets the published ports of a running container follow it from network to network.

Where host ports are needed that its shim does not have (it was in internal networks only, say), the command reserves
them and hands them over; where none are of use any more, the shim gives them up.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from runtime.errors import StateError
from runtime.linux.limits import allow_many_files
from runtime.network.endpoint import HostNetwork
from runtime.network.ports import publishing_endpoint
from runtime.network.record import Endpoint, endpoint_to_json, fields_in_use
from runtime.shim import control
from runtime.shim.published import Publication, kind_of, lead_to, reserve_ports, translations
from runtime.shim.state import PublishedAddress
from runtime.store.locks import is_locked

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine


class Republishing:
    """One change of a live container's networks, from the endpoints `before` to those `after` it.

    Making it reserves host ports that are missing, and raises what `reserve_ports` raises; they are free again when it
    is forgotten, unless `carry_out` has handed them over.
    """

    def __init__(
        self, engine: "Engine", container: "Container", before: Sequence[Endpoint], after: Sequence[Endpoint]
    ) -> None:
        self._directory = engine.paths.live(container.id)
        self._name = container.name
        self._table = engine.paths.nft_table
        self._after = after
        self._endpoint = publishing_endpoint(after)
        self._old = container.live.ports if container.live else ()
        self._ports: tuple[PublishedAddress, ...] = ()
        self._publication: Publication | None = None
        if not container.is_live:
            return
        wanted = container.spec.ports if self._endpoint is not None else ()
        anew = kind_of(before) != kind_of(after) or bool(wanted) != bool(self._old)
        if anew and self._old:
            self._release()
        if self._endpoint is None or not wanted:
            return
        if anew:
            allow_many_files()
            self._publication = reserve_ports(wanted, self._endpoint)
            self._ports = self._publication.ports
        else:
            self._ports = lead_to(self._old, self._endpoint)

    def _release(self) -> None:
        with closing(HostNetwork(self._table)) as host:
            host.unpublish(translations(self._old))
        self._ask({"op": "release"})
        self._old = ()

    def _ask(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> bool:
        """Whether there was a shim to do it. Raises StateError if it could not."""
        answer = control.request(self._directory, message, descriptors)
        if answer is not None and "error" in answer:
            raise StateError(
                f"the shim of container {self._name} refused {message['op']!r}: {answer['error']}",
                hint="restart the container, whose shim may be of an older version",
            )
        return answer is not None

    def carry_out(self, links: Mapping[str, str]) -> None:
        """Tell the shim what it answers for, and takes away at its end, from now on, and lead the ports there.

        `links` are names that the container alone knows. Raises StateError, OSError.

        A shim that has just ended needs no telling.
        """
        if self._publication is not None:
            with self._publication as publication:
                for descriptors, targets in publication.batches(control.MOST_DESCRIPTORS):
                    self._ask({"op": "hold", "targets": targets}, descriptors)
        message = {
            "op": "networks",
            "endpoints": [endpoint_to_json(item) for item in self._after],
            "ports": [fields_in_use(port, PublishedAddress._field_defaults) for port in self._ports],
            "links": links,
        }
        told = self._ask(message)
        old, new = translations(self._old), translations(self._ports)
        if not told or self._endpoint is None or new == old:
            return
        with closing(HostNetwork(self._table)) as host:
            host.lead_ports(self._endpoint, old, new)
            if not is_locked(f"{self._directory}/lock"):
                host.unpublish(new)
