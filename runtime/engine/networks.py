"""Networks of an engine: rows, address allocation, and the bridge and firewall entries behind them."""

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import ConflictError, NotFoundError, UnsupportedError
from runtime.linux.nfnetlink import Nfnetlink
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network import ipam, links
from runtime.network.firewall.nft import Firewall
from runtime.network.record import Endpoint, NetworkRecord, network_from_json, to_json
from runtime.oci.container_spec import ContainerSpec, NetworkAttachment
from runtime.store.files import remove_tree

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


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
        self._ensured: set[str] = set()
        self.warnings: list[str] = []  # what this machine's firewall keeps networks from doing

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

    def users(self, network_id: str) -> tuple[str, ...]:
        """Names of the containers that have an address in a network."""
        rows = self._database.rows(
            "SELECT name FROM containers JOIN endpoints ON container_id = id WHERE network_id = ?", network_id
        )
        return tuple(row["name"] for row in rows)

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
        if driver not in ("", "bridge", "default"):
            raise UnsupportedError(
                f"network {name}: driver {driver!r} is not supported", hint="use driver: bridge"
            )
        network_id = os.urandom(32).hex()
        with Rtnetlink() as host, self._database.transaction():
            aux = {key: value.partition("/")[0] for key, value in (aux_addresses or {}).items()}
            prefix = self._choose_subnet(host, name, subnet)
            kept = {ipam.parse_address(address) for address in aux.values()}
            record = NetworkRecord(
                id=network_id,
                name=name,
                subnet=str(prefix),
                gateway=ipam.format_address(ipam.choose_gateway(prefix, gateway, kept)),
                ip_range=ip_range,
                aux=aux,
                internal=internal,
                bridge=self._paths.bridge(network_id),
                mtu=host.uplink_mtu(),
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
                    record.subnet,
                    json.dumps(to_json(record)),
                )
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"network {name} exists already") from error
        self._ensure(record)
        self._database.execute("UPDATE networks SET intent = '' WHERE id = ?", network_id)
        return network_id

    def _choose_subnet(self, host: Rtnetlink, name: str, wanted: str) -> ipam.Subnet:
        others = [
            (ipam.parse_subnet(row["subnet"]), f"network {row['name']}")
            for row in self._database.rows("SELECT name, subnet FROM networks")
        ]
        if not wanted:
            return ipam.choose_subnet([*(subnet for subnet, _ in others), *links.taken_prefixes(host)])
        chosen = ipam.parse_subnet(wanted)
        ipam.check_subnet(chosen, [*others, *links.owners_of_prefixes(host)])
        return chosen

    def _ensure(self, record: NetworkRecord) -> None:
        """Make the kernel's part of a network, or what is missing of it; once per command."""
        if record.id in self._ensured:
            return
        with Rtnetlink() as host, Nfnetlink() as netfilter:
            links.ensure_bridge(host, record)
            links.enable_forwarding()
            firewall = Firewall(netfilter, self._paths.nft_table)
            self.warnings += firewall.ensure_network(record.bridge, internal=record.internal)
        os.makedirs(self._paths.zone(record.id), mode=0o755, exist_ok=True)
        self._ensured.add(record.id)

    def ensure(self, name: str) -> None:
        """Make again what a reboot or another program took away of a network. Raises NotFoundError."""
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"network {name} does not exist", hint="run `pycompose up`, which makes it")
        self._ensure(row.record)

    def remove(self, name: str, *, detach: bool = False) -> None:
        """Remove a network that no container uses; with `detach`, take stopped containers out of it first.

        Raises NotFoundError, ConflictError.
        """
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"network {name} does not exist")
        users = self.users(row.id)
        if detach:
            self._database.execute("DELETE FROM endpoints WHERE network_id = ?", row.id)
        elif users:
            raise ConflictError(
                f"network {name} is in use by {', '.join(users[:5])}", hint="remove these containers first"
            )
        self._database.execute("UPDATE networks SET intent = 'removing' WHERE id = ?", row.id)
        self._ensured.discard(row.id)
        prefix = ipam.parse_subnet(row.record.subnet)
        with Rtnetlink() as host, Nfnetlink() as netfilter:
            Firewall(netfilter, self._paths.nft_table).remove_network(
                row.record.bridge, (prefix.network, prefix.length)
            )
            links.delete_bridge(host, row.record.bridge)
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
            address = self._free_address(row, attachment.ipv4_address)
            self._database.execute(
                "INSERT INTO endpoints VALUES (?, ?, ?, ?, ?)",
                container_id,
                row.id,
                position,
                ipam.format_address(address),
                attachment.mac_address or ipam.mac_of(address),
            )

    def _free_address(self, row: NetworkRow, requested: str) -> int:
        record = row.record
        used = {
            ipam.parse_address(found["address"])
            for found in self._database.rows("SELECT address FROM endpoints WHERE network_id = ?", row.id)
        }
        return ipam.allocate_address(
            ipam.parse_subnet(record.subnet),
            used | {ipam.parse_address(address) for address in record.aux.values()},
            gateway=ipam.parse_address(record.gateway),
            ip_range=ipam.parse_subnet(record.ip_range) if record.ip_range else None,
            requested=requested,
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
    return network_from_json(json.loads(text))
