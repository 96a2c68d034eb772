"""The values that networks are described with: what the database keeps and what a shim is told. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime.network.dns.zone import Entry


class Pool(NamedTuple):
    """One subnet of a network; `gateway` "" = none (internal networks still have the bridge's address there)."""

    subnet: str  # "172.18.0.0/20", "fd00:1::/64"
    gateway: str = ""
    ip_range: str = ""  # addresses are only given out of this part, "" = of all

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.subnet


class NetworkRecord(NamedTuple):
    """One network as the store keeps it. An endpoint gets an address of each family that has a pool."""

    id: str
    name: str
    driver: str = "bridge"  # "bridge", "macvlan", "ipvlan"
    pools: tuple[Pool, ...] = ()
    aux: Mapping[str, str] = {}  # name -> address that is kept free
    internal: bool = False
    bridge: str = ""
    parent: str = ""  # macvlan, ipvlan: the host's interface
    mode: str = (
        ""  # macvlan: bridge, vepa, passthru, private; ipvlan: l2, l3, l3s, then maybe ",private" or ",vepa"
    )
    mtu: int = 1500  # bytes, 0 = the parent's
    labels: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    ipam_options: Mapping[str, str] = {}
    given_last: Mapping[
        str, str
    ] = {}  # subnet -> the address given out last, where no address comes twice in a row

    @property
    def has_ipv6(self) -> bool:
        return any(pool.is_ipv6 for pool in self.pools)

    @property
    def has_ipv4(self) -> bool:
        return any(not pool.is_ipv6 for pool in self.pools)


class Address(NamedTuple):
    """One address of an endpoint; `gateway` is that of its pool, "" where nothing leads out."""

    address: str
    prefix_length: int
    gateway: str = ""

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.address


class Endpoint(NamedTuple):
    """One container's place in one network."""

    network_id: str
    network_name: str
    bridge: str
    host_interface: str  # the host's end of the veth pair
    interface: str  # the container's end, "eth0"
    addresses: tuple[Address, ...]  # at most one of each family
    mac: str
    mtu: int  # bytes, 0 = the parent's
    names: tuple[str, ...] = ()  # service, aliases, container name, short id: what DNS answers to
    internal: bool = False
    isolated: bool = False  # from the network's other containers (icc off)
    driver: str = "bridge"
    parent: str = ""  # as in NetworkRecord
    mode: str = ""
    gw_priority: int = 0  # the default route leads through the endpoint with the highest
    link_local: tuple[str, ...] = ()  # more addresses, of 169.254.0.0/16 or fe80::/64
    sysctls: tuple[tuple[str, str], ...] = ()  # net.* of this interface, IFNAME standing for its name
    routed4: bool = (
        False  # published ports are reached by the endpoint's own address, there are no host ports
    )
    routed6: bool = False
    trusting: bool = False  # interfaces of the host reach published ports so as well

    def routed(self, *, ipv6: bool) -> bool:
        """Whether nothing is published on the host's addresses of a family: that is up to the one that carries it."""
        carrier = ipv6 if self.address(ipv6=ipv6) else not ipv6
        return self.routed6 if carrier else self.routed4

    def address(self, *, ipv6: bool = False) -> str:
        """The endpoint's address of a family, "" if it has none."""
        return next((item.address for item in self.addresses if item.is_ipv6 == ipv6), "")

    def zone_entry(self, container: str, lock: str) -> Entry:
        """What DNS says of the endpoint for as long as somebody holds `lock`."""
        return Entry(
            names=self.names,
            address=self.address(),
            address6=self.address(ipv6=True),
            container=container,
            network=self.network_name,
            live=lock,
        )


def to_json(record: NetworkRecord) -> dict[str, object]:
    """A JSON object of all fields."""
    out: dict[str, object] = dict(zip(record._fields, record, strict=True))
    return {**out, "pools": [list(pool) for pool in record.pools]}


def network_from_json(data: Mapping[str, Any]) -> NetworkRecord:
    """The inverse of `to_json`. Raises TypeError for an unknown field."""
    return NetworkRecord(**{**data, "pools": tuple(Pool(*pool) for pool in data["pools"])})


def endpoint_to_json(endpoint: Endpoint) -> list[Any]:
    """The fields in their order, as JSON can hold them (tuples become lists there)."""
    return fields_in_use(endpoint, Endpoint._field_defaults)


def fields_in_use(value: tuple[Any, ...], defaults: Mapping[str, Any]) -> list[Any]:
    """The fields of a NamedTuple without those at its end that have their defaults.

    A shim of an earlier version knows nothing of fields that were added since, and need not where they are not used.
    """
    out, last = list(value), list(defaults.values())
    while out and last and out[-1] == last[-1]:
        out.pop()
        last.pop()
    return out


def endpoint_from_json(data: Sequence[Any]) -> Endpoint:
    """The inverse of `endpoint_to_json` after a journey through JSON."""
    endpoint = Endpoint(*data)
    return endpoint._replace(
        addresses=tuple(Address(*item) for item in endpoint.addresses),
        names=tuple(endpoint.names),
        link_local=tuple(endpoint.link_local),
        sysctls=tuple((name, value) for name, value in endpoint.sysctls),
    )
