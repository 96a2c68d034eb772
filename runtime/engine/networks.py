"""Networks of an engine: rows, and the bridge and firewall entries behind them. Addresses are addresses.py's."""

import json
import os
import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import ConflictError, NotFoundError
from runtime.linux.nfnetlink import Nfnetlink
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network import ipam, links, plan
from runtime.network.firewall.nft import Firewall
from runtime.network.plan import HostFacts, NetworkRequest, plan_network
from runtime.network.record import NetworkRecord, network_from_json, to_json
from runtime.store.files import remove_tree

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


POOLS_VARIABLE = "PYCOMPOSE_ADDRESS_POOLS"


class NetworkRow(NamedTuple):
    """A network as the index has it."""

    id: str
    name: str
    project: str
    created_ns: int
    intent: str
    config_hash: str
    record: NetworkRecord


class Member(NamedTuple):
    """A container's place in a network; addresses with their prefix length, "" = none."""

    container_id: str
    name: str
    mac: str
    address: str
    address6: str


class Networks:
    """The networks of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._paths = engine.paths
        self._database = engine.database
        self._ensured: dict[str, NetworkRecord] = {}  # by name
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
        """The network of a real name, an id or the beginning of one; None if there is none or several."""
        row = self._database.row("SELECT * FROM networks WHERE name = ? OR id = ?", name, name)
        if row is None and len(name) >= 4:
            rows = self._database.rows("SELECT * FROM networks WHERE substr(id, 1, ?) = ?", len(name), name)
            row = rows[0] if len(rows) == 1 else None
        return None if row is None else _row(row)

    def members(self, network_id: str) -> tuple[Member, ...]:
        """The containers of a network with their addresses, by name."""
        row = self._database.row("SELECT record FROM networks WHERE id = ?", network_id)
        if row is None:
            return ()
        record = _record(row["record"])
        rows = self._database.rows(
            "SELECT endpoints.*, containers.name FROM endpoints JOIN containers ON container_id = containers.id"
            " WHERE network_id = ? ORDER BY containers.name",
            network_id,
        )
        return tuple(
            Member(
                row["container_id"],
                row["name"],
                row["mac"],
                _with_length(record, row["address"]),
                _with_length(record, row["address6"]),
            )
            for row in rows
        )

    def users(self, network_id: str) -> tuple[str, ...]:
        """Names of the containers that have an address in a network."""
        rows = self._database.rows(
            "SELECT name FROM containers JOIN endpoints ON container_id = id WHERE network_id = ?", network_id
        )
        return tuple(row["name"] for row in rows)

    # ---- making and removing

    def create(self, request: NetworkRequest) -> str:
        """Make a network and what the kernel needs for it; its id.

        A family without a subnet gets a free one, away from the host's routes and other networks. Raises
        ConflictError for a taken name, subnet or bridge, UnsupportedError for an unknown driver, InvalidError.
        """
        network_id = os.urandom(32).hex()
        with Rtnetlink() as host, self._database.transaction():
            record = self._plan(request, network_id, host)
            try:
                self._database.execute(
                    "INSERT INTO networks VALUES (?, ?, ?, ?, 'creating', ?, ?, ?)",
                    network_id,
                    record.name,
                    request.project,
                    time.time_ns(),
                    request.config_hash,
                    " ".join(pool.subnet for pool in record.pools),
                    json.dumps(to_json(record)),
                )
            except sqlite3.IntegrityError as error:
                raise ConflictError(f"network {record.name} exists already") from error
        self._ensure(record)
        self._database.execute("UPDATE networks SET intent = '' WHERE id = ?", network_id)
        return network_id

    def check(self, request: NetworkRequest) -> None:
        """Raise what `create` would raise, and make nothing."""
        if self.find(request.name) is not None:
            raise ConflictError(f"network {request.name} exists already")
        with Rtnetlink() as host:
            self._plan(request, os.urandom(32).hex(), host)

    def _plan(self, request: NetworkRequest, network_id: str, host: Rtnetlink) -> NetworkRecord:
        record = plan_network(request, network_id, self._facts(host), link=self._paths.bridge(network_id))
        self._check_links(host, record)
        return record

    def _facts(self, host: Rtnetlink) -> HostFacts:
        networks = [
            (ipam.parse_subnet(text), f"network {row['name']}")
            for row in self._database.rows("SELECT name, subnet FROM networks")
            for text in row["subnet"].split()
        ]
        configured = os.environ.get(POOLS_VARIABLE, "")
        return HostFacts(
            taken=[*networks, *links.owners_of_prefixes(host)],
            networks=networks,
            uplink_mtu=host.uplink_mtu(),
            pools=ipam.parse_pools(configured) if configured else (),
        )

    def _check_links(self, host: Rtnetlink, record: NetworkRecord) -> None:
        if record.options.get(plan.OPTION_BRIDGE_NAME) and host.link(record.bridge) is not None:
            raise ConflictError(
                f"network {record.name}: there is an interface {record.bridge} already",
                hint="choose another name for the bridge, or leave it out",
            )
        if record.parent:
            from runtime.network.parents import check_parent

            check_parent(host, record)

    def _ensure(self, record: NetworkRecord) -> None:
        """Make the kernel's part of a network, or what is missing of it; once per command."""
        if record.name in self._ensured:
            return
        if record.driver == plan.BRIDGE:
            with Rtnetlink() as host, Nfnetlink() as netfilter:
                links.ensure_bridge(host, record)
                links.enable_forwarding(ipv6=record.has_ipv6)
                for firewall in self._firewalls(netfilter, record):
                    rules = plan.firewall_rules(record, ipv6=firewall.bits == ipam.IPV6_BITS)
                    self.warnings += firewall.ensure_network(rules)
        else:
            from runtime.network.parents import ensure_parent

            with Rtnetlink() as host:
                ensure_parent(host, record, self._paths.nft_table)
        os.makedirs(self._paths.zone(record.id), mode=0o755, exist_ok=True)
        self._ensured[record.name] = record

    def _firewalls(self, netfilter: Nfnetlink, record: NetworkRecord) -> tuple[Firewall, ...]:
        families = [family for family, has in ((False, record.has_ipv4), (True, record.has_ipv6)) if has]
        return tuple(Firewall(netfilter, self._paths.nft_table, ipv6=ipv6) for ipv6 in families)

    def ensure(self, name: str) -> NetworkRecord:
        """Make again what a reboot or another program took away of a network. Raises NotFoundError."""
        if name not in self._ensured:
            row = self.find(name)
            if row is None:
                raise NotFoundError(
                    f"network {name} does not exist", hint="run `pycompose up`, which makes it"
                )
            self._ensure(row.record)
        return self._ensured[name]

    def check_removable(self, name: str, *, detach: bool = False) -> NetworkRow:
        """The network. Raises NotFoundError, and without `detach` ConflictError while a container uses it."""
        row = self.find(name)
        if row is None:
            raise NotFoundError(f"network {name} does not exist")
        users = () if detach else self.users(row.id)
        if users:
            raise ConflictError(
                f"network {name} is in use by {', '.join(users[:5])}", hint="remove these containers first"
            )
        return row

    def remove(self, name: str, *, detach: bool = False) -> None:
        """Remove a network that no container uses; with `detach`, take stopped containers out of it first.

        Raises NotFoundError, ConflictError.
        """
        row = self.check_removable(name, detach=detach)
        if detach:
            self._database.execute("DELETE FROM endpoints WHERE network_id = ?", row.id)
        self._database.execute("UPDATE networks SET intent = 'removing' WHERE id = ?", row.id)
        self._ensured.pop(name, None)
        record = row.record
        if record.driver == plan.BRIDGE:
            subnets = [ipam.parse_subnet(pool.subnet) for pool in record.pools]
            with Rtnetlink() as host, Nfnetlink() as netfilter:
                for firewall in self._firewalls(netfilter, record):
                    firewall.remove_network(record.bridge, [x for x in subnets if x.bits == firewall.bits])
                links.delete_bridge(host, record.bridge)
        elif not any(other.record.parent == record.parent for other in self.list() if other.id != row.id):
            from runtime.network.parents import remove_parent

            with Rtnetlink() as host:
                remove_parent(host, record, self._paths.nft_table)
        remove_tree(os.path.dirname(self._paths.zone(row.id)))
        self._database.execute("DELETE FROM networks WHERE id = ?", row.id)


def _with_length(record: NetworkRecord, address: str | None) -> str:
    if not address:
        return ""
    number, bits = ipam.parse_address(address), 128 if ipam.is_ipv6(address) else 32
    subnets = (ipam.parse_subnet(pool.subnet) for pool in record.pools)
    length = next((s.length for s in subnets if s.bits == bits and s.network <= number <= s.last), bits)
    return f"{address}/{length}"


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
