"""Networks of an engine: rows, address allocation, and the bridge and firewall entries behind them."""

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from runtime.network import ipam, links
from runtime.network.endpoint import Endpoint
from runtime.network.firewall import nft
from runtime.network.record import NetworkRecord
from runtime.oci.container_spec import ContainerSpec, NetworkAttachment
from runtime.store.files import remove_tree

if TYPE_CHECKING:
    from runtime.engine.engine import Engine

LABEL_PROJECT = "com.docker.compose.project"
LABEL_SERVICE = "com.docker.compose.service"


class NetworkRow(NamedTuple):
    """A network as the index has it."""

    id: str
    name: str
    project: str
    created_ns: int
    intent: str
    config_hash: str
    record: NetworkRecord


class Networks:
    """The networks of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._paths = engine.paths
        self._database = engine.database

    # ---- looking

    def list(self, project: str | None = None) -> list[NetworkRow]:
        """All networks, or those of one project, by name."""
        if project is None:
            rows = self._database.rows("SELECT * FROM networks ORDER BY name")
        else:
            rows = self._database.rows("SELECT * FROM networks WHERE project = ? ORDER BY name", project)
        return [_row(row) for row in rows]

    def find(self, name: str) -> NetworkRow | None:
        """The network of a real name, or None."""
        row = self._database.row("SELECT * FROM networks WHERE name = ?", name)
        return None if row is None else _row(row)

    def users(self, network_id: str) -> list[str]:
        """Names of the containers that have an address in a network."""
        rows = self._database.rows(
            "SELECT name FROM containers JOIN endpoints ON container_id = id WHERE network_id = ?", network_id
        )
        return [row["name"] for row in rows]

    # ---- making and removing

    def create(
        self,
        name: str,
        *,
        project: str = "",
        config_hash: str = "",
        driver: str = "bridge",
        internal: bool = False,
        subnet: str = "",
        gateway: str = "",
        ip_range: str = "",
        aux_addresses: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Make a network and what the kernel needs for it; its id.

        Without `subnet` a free one is chosen, away from the host's routes and other networks.
        Raises ConflictError for a taken name or subnet, UnsupportedError for another driver than bridge.
        """
        if driver not in ("", "bridge"):
            raise UnsupportedError(
                f"network {name}: driver {driver!r} is not supported", hint="use driver: bridge"
            )
        network_id = os.urandom(32).hex()
        with self._database.transaction():
            used = [row["subnet"] for row in self._database.rows("SELECT subnet FROM networks")]
            chosen = ipam.choose_subnet(subnet, used, links.host_prefixes())
            record = NetworkRecord(
                id=network_id,
                name=name,
                driver="bridge",
                subnet=chosen,
                gateway=gateway or ipam.first_address(chosen),
                ip_range=ip_range,
                aux_addresses=tuple(sorted((aux_addresses or {}).values())),
                internal=internal,
                bridge=self._paths.bridge(network_id),
                mtu=links.uplink_mtu(),
                labels=dict(labels or {}),
                options=dict(options or {}),
            )
            try:
                self._database.execute(
                    "INSERT INTO networks VALUES (?, ?, ?, ?, 'creating', ?, ?, ?)",
                    network_id,
                    name,
                    project,
                    time.time_ns(),
                    config_hash,
                    chosen,
                    json.dumps(record._asdict()),
                )
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"network {name} exists already") from error
        self._ensure(record)
        self._database.execute("UPDATE networks SET intent = '' WHERE id = ?", network_id)
        return network_id

    def _ensure(self, record: NetworkRecord) -> None:
        links.ensure_bridge(record)
        nft.add_network(self._paths, record)
        os.makedirs(self._paths.zone(record.id), mode=0o755, exist_ok=True)

    def ensure(self, name: str) -> None:
        """Make again what a reboot or another program took away of a network. Raises NotFoundError."""
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"network {name} does not exist", hint="run `pycompose up`, which makes it")
        self._ensure(row.record)

    def remove(self, name: str) -> None:
        """Remove a network that no container uses. Raises NotFoundError, ConflictError."""
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"network {name} does not exist")
        users = self.users(row.id)
        if users:
            raise ConflictError(
                f"network {name} is in use by {', '.join(users[:5])}", hint="remove these containers first"
            )
        self._database.execute("UPDATE networks SET intent = 'removing' WHERE id = ?", row.id)
        nft.remove_network(self._paths, row.record)
        links.delete_bridge(row.record.bridge)
        remove_tree(os.path.dirname(self._paths.zone(row.id)))
        self._database.execute("DELETE FROM networks WHERE id = ?", row.id)

    # ---- addresses

    def allocate(self, container_id: str, attachments: Sequence[NetworkAttachment]) -> None:
        """Give a container an address in each network; within the caller's transaction.

        Raises NotFoundError for an unknown network, ConflictError where an address is taken or none is free.
        """
        ordered = sorted(attachments, key=lambda item: (-item.priority, item.network))
        for position, attachment in enumerate(ordered):
            row = self.find(attachment.network)
            if row is None:
                raise NotFoundError(f"network {attachment.network} does not exist")
            used = [
                found["address"]
                for found in self._database.rows("SELECT address FROM endpoints WHERE network_id = ?", row.id)
            ]
            address = ipam.allocate_address(row.record, used, requested=attachment.ipv4_address)
            self._database.execute(
                "INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)",
                container_id,
                row.id,
                position,
                address,
                attachment.mac_address or ipam.mac_address(address),
            )

    def endpoints(self, container_id: str, spec: ContainerSpec) -> tuple[Endpoint, ...]:
        """What a shim needs to join its networks, which are there in the kernel afterwards."""
        rows = self._database.rows(
            "SELECT endpoints.*, networks.record FROM endpoints JOIN networks ON networks.id = network_id"
            " WHERE container_id = ? ORDER BY position",
            container_id,
        )
        attachments = {attachment.network: attachment for attachment in spec.networks}
        found = []
        for index, row in enumerate(rows):
            record = _record(row["record"])
            self._ensure(record)
            attachment = attachments.get(record.name, NetworkAttachment(record.name))
            found.append(self._endpoint(container_id, spec, index, row, record, attachment))
        return tuple(found)

    def _endpoint(
        self,
        container_id: str,
        spec: ContainerSpec,
        index: int,
        row: sqlite3.Row,
        record: NetworkRecord,
        attachment: NetworkAttachment,
    ) -> Endpoint:
        names = dict.fromkeys((*attachment.aliases, spec.name, container_id[:12]))
        return Endpoint(
            network_id=record.id,
            network_name=record.name,
            bridge=record.bridge,
            host_interface=self._paths.veth(container_id, index),
            interface=attachment.interface_name or f"eth{index}",
            address=row["address"],
            prefix_length=int(record.subnet.rpartition("/")[2]),
            gateway="" if record.internal else record.gateway,
            mac=row["mac"],
            mtu=record.mtu,
            names=tuple(names),
            internal=record.internal,
        )


def _row(row: sqlite3.Row) -> NetworkRow:
    return NetworkRow(
        id=row["id"],
        name=row["name"],
        project=row["project"],
        created_ns=row["created_ns"],
        intent=row["intent"],
        config_hash=row["config_hash"],
        record=_record(row["record"]),
    )


def _record(text: str) -> NetworkRecord:
    data: dict[str, Any] = json.loads(text)
    return NetworkRecord(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    )


def check_subnet(subnet: str) -> None:
    """Raise InvalidError unless `subnet` is an IPv4 prefix such as 10.5.0.0/16."""
    if not ipam.is_subnet(subnet):
        raise InvalidError(f"{subnet!r} is not an IPv4 subnet", hint="write it like 10.5.0.0/16")
