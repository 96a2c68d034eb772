"""Addresses of containers in networks: rows of the index, and the endpoints that shims are told of."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.network import ipam, plan
from runtime.network.record import Address, Endpoint, NetworkRecord, Pool, to_json
from runtime.oci.container_spec import ContainerSpec, NetworkAttachment

if TYPE_CHECKING:
    from runtime.engine.engine import Engine

_COLUMNS = ("address", "address6")


def allocate(engine: "Engine", container_id: str, spec: ContainerSpec) -> None:
    """Give a container its addresses in each of its networks; within the caller's transaction.

    Raises NotFoundError for an unknown network, ConflictError where an address is taken or none is free.
    """
    ordered = sorted(spec.networks, key=lambda item: (-item.priority, item.network))
    for position, attachment in enumerate(ordered):
        insert(engine, container_id, attachment, position)


def insert(engine: "Engine", container_id: str, attachment: NetworkAttachment, position: int) -> None:
    """One endpoint's row; as `allocate`."""
    row = engine.networks.find(attachment.network)
    if row is None:
        raise NotFoundError(f"network {attachment.network} does not exist")
    record = row.record
    wanted = (attachment.ipv4_address, attachment.ipv6_address)
    chosen = [_choose(engine, record, wanted[ipv6], ipv6=ipv6) for ipv6 in (False, True)]
    if plan.is_on(record.ipam_options, plan.IPAM_OPTION_SERIAL, default=False):
        given = (address for address, text in zip(chosen, wanted, strict=True) if address and not text)
        _remember(engine, record, given)
    try:
        engine.database.execute(
            "INSERT INTO endpoints VALUES (?, ?, ?, ?, ?, ?)",
            container_id,
            record.id,
            position,
            *(chosen[0], chosen[1]),
            attachment.mac_address or _mac(chosen),
        )
    except sqlite3.IntegrityError as error:
        raise ConflictError(f"the container is in network {record.name} already") from error


def _remember(engine: "Engine", record: NetworkRecord, given: Iterable[str]) -> None:
    last = {_pool_of(_pools(record, address), address).subnet: address for address in given}
    text = json.dumps(to_json(record._replace(given_last={**record.given_last, **last})))
    engine.database.execute("UPDATE networks SET record = ? WHERE id = ?", text, record.id)


def _pools(record: NetworkRecord, address: str) -> list[Pool]:
    """Those of an address's family."""
    return [pool for pool in record.pools if pool.is_ipv6 == ipam.is_ipv6(address)]


def _mac(addresses: Sequence[str | None]) -> str:
    numbers = [ipam.parse_address(address) for address in addresses if address]
    return ipam.mac_of(numbers[0] & 0xFFFFFFFF)


def _choose(engine: "Engine", record: NetworkRecord, requested: str, *, ipv6: bool) -> str | None:
    pools = [pool for pool in record.pools if pool.is_ipv6 == ipv6]
    family = "IPv6" if ipv6 else "IPv4"
    if not pools:
        if requested:
            raise InvalidError(
                f"address {requested}: network {record.name} has no {family}",
                hint="set enable_ipv6: true at the network" if ipv6 else "",
            )
        return None
    used = _used(engine, record, _COLUMNS[ipv6])
    if requested:
        return _take(_pool_of(pools, requested), used, requested=requested)
    for number, pool in enumerate(pools, 1):
        try:
            return _take(pool, used, after=record.given_last.get(pool.subnet, ""))
        except ConflictError:
            if number == len(pools):
                raise
    return None


def _take(pool: Pool, used: set[int], *, requested: str = "", after: str = "") -> str:
    subnet = ipam.parse_subnet(pool.subnet)
    address = ipam.allocate_address(
        subnet,
        used,
        gateway=ipam.parse_address(pool.gateway) if pool.gateway else 0,
        ip_range=ipam.parse_subnet(pool.ip_range) if pool.ip_range else None,
        requested=requested,
        after=ipam.parse_address(after) if after else 0,
    )
    return ipam.format_address(address, subnet.bits)


def _pool_of(pools: Sequence[Pool], requested: str) -> Pool:
    """The pool an address belongs to; the first where it belongs to none, which then says so."""
    number = ipam.parse_address(requested)
    for pool in pools:
        subnet = ipam.parse_subnet(pool.subnet)
        if subnet.network <= number <= subnet.last:
            return pool
    return pools[0]


def _used(engine: "Engine", record: NetworkRecord, column: str) -> set[int]:
    rows = engine.database.rows(
        f"SELECT {column} AS address FROM endpoints WHERE network_id = ? AND {column} IS NOT NULL", record.id
    )
    return {ipam.parse_address(row["address"]) for row in rows} | {
        ipam.parse_address(address) for address in record.aux.values()
    }


def endpoints(engine: "Engine", container_id: str, spec: ContainerSpec) -> tuple[Endpoint, ...]:
    """What a shim needs to join its networks, which are there in the kernel afterwards."""
    rows = engine.database.rows(
        "SELECT endpoints.*, networks.name FROM endpoints JOIN networks ON networks.id = network_id"
        " WHERE container_id = ? ORDER BY position",
        container_id,
    )
    attachments = {attachment.network: attachment for attachment in spec.networks}
    found = []
    for row in rows:
        record = engine.networks.ensure(row["name"])
        attachment = attachments.get(record.name, NetworkAttachment(record.name))
        found.append(_endpoint(engine, container_id, spec, row, record, attachment))
    return tuple(found)


def _endpoint(
    engine: "Engine",
    container_id: str,
    spec: ContainerSpec,
    row: sqlite3.Row,
    record: NetworkRecord,
    attachment: NetworkAttachment,
) -> Endpoint:
    bridged = record.driver == plan.BRIDGE
    prefix = record.options.get(plan.OPTION_INTERFACE_PREFIX) or "eth"
    names = dict.fromkeys((*attachment.aliases, spec.name, container_id[:12]))
    return Endpoint(
        network_id=record.id,
        network_name=record.name,
        bridge=record.bridge,
        host_interface=engine.paths.veth(container_id, row["position"]) if bridged else "",
        interface=attachment.interface_name or f"{prefix}{row['position']}",
        addresses=tuple(_address(record, row[column]) for column in _COLUMNS if row[column]),
        mac=row["mac"],
        mtu=record.mtu,
        names=tuple(names),
        internal=record.internal,
        isolated=bridged and not plan.is_on(record.options, plan.OPTION_ICC, default=True),
        driver=record.driver,
        parent=record.parent,
        mode=record.mode,
        gw_priority=attachment.gw_priority,
        link_local=attachment.link_local_ips,
        sysctls=attachment.sysctls,
        routed4=bridged and plan.gateway_mode(record.options, ipv6=False) == plan.ROUTED,
        routed6=bridged and plan.gateway_mode(record.options, ipv6=True) == plan.ROUTED,
        trusting=bridged and bool(plan.trusted_interfaces(record.options)),
    )


def _address(record: NetworkRecord, address: str) -> Address:
    pool = _pool_of(_pools(record, address), address)
    leads_out = not record.internal and not record.mode.startswith("l3")
    return Address(address, ipam.parse_subnet(pool.subnet).length, pool.gateway if leads_out else "")
