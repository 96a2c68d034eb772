"""The values that networks are described with: what the database keeps and what a shim is told. Pure."""

from collections.abc import Mapping
from typing import NamedTuple


class NetworkRecord(NamedTuple):
    """One network as the store keeps it. Prefixes are text such as "172.18.0.0/20"."""

    id: str
    name: str
    driver: str = "bridge"
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux: Mapping[str, str] = {}  # name -> address that is kept free
    internal: bool = False
    bridge: str = ""
    mtu: int = 1500  # bytes
    labels: Mapping[str, str] = {}
    options: Mapping[str, str] = {}


class Endpoint(NamedTuple):
    """One container's place in one network."""

    network_id: str
    network_name: str
    bridge: str
    host_interface: str  # the host's end of the veth pair
    interface: str  # the container's end, "eth0"
    address: str
    prefix_length: int
    gateway: str  # "" if the network is internal
    mac: str
    mtu: int  # bytes
    names: tuple[str, ...] = ()  # service, aliases, container name, short id: what DNS answers to
    internal: bool = False


def to_json(record: "NetworkRecord | Endpoint") -> dict[str, object]:
    """A JSON object of all fields."""
    return {
        key: dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
        for key, value in zip(record._fields, record, strict=True)
    }


def network_from_json(data: Mapping[str, object]) -> NetworkRecord:
    """The inverse of `to_json` for a NetworkRecord. Raises TypeError for an unknown field."""
    return NetworkRecord(**data)  # type: ignore[arg-type]


def endpoint_from_json(data: Mapping[str, object]) -> Endpoint:
    """The inverse of `to_json` for an Endpoint. Raises TypeError for an unknown field."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return Endpoint(**fields)  # type: ignore[arg-type]
