"""What our nftables table holds: chains, rules, sets, and the elements of one network or port. Pure.

    table ip pycompose {                    comment = VERSION
      map published     { ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
      map published_any {             inet_proto . inet_service : ipv4_addr . inet_service }
      set bridges  { ifname }               every bridge of ours
      set internal { ifname }               those with no way out
      set pairs    { ifname . ifname }      each bridge with itself: packets that stay in a network

      chain raw         prerouting -300     127/8 never comes in by a link (route_localnet would let it)
      chain prerouting  nat -100            a local address: dnat by the maps
      chain output      nat -100            the same for the host's own connections
      chain postrouting nat 100             127/8 to a bridge, hairpin, and everything leaving a bridge:
      masquerade chain forward     filter 0            same network, answers and dnat'ed in; nothing else
      in; internal: nothing
    }

A network is three elements, a port is one, so both are one small message. The interface a packet came in
by is known in postrouting since Linux 5.7, which is why no rule needs to know a subnet.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runtime.network.firewall import expressions as e
from runtime.network.ipam import format_address, parse_address

VERSION = "pycompose network 1"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}

_ADDRESS, _PROTOCOL, _PORT, _IFNAME = (7, 4), (12, 1), (13, 2), (41, 16)  # (nft type number, bytes)
PUBLISHED, PUBLISHED_ANY, BRIDGES, INTERNAL, PAIRS = (
    "published",
    "published_any",
    "bridges",
    "internal",
    "pairs",
)

# name -> (key, data)
SETS: dict[str, tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]] = {
    PUBLISHED: ((_ADDRESS, _PROTOCOL, _PORT), (_ADDRESS, _PORT)),
    PUBLISHED_ANY: ((_PROTOCOL, _PORT), (_ADDRESS, _PORT)),
    BRIDGES: ((_IFNAME,), ()),
    INTERNAL: ((_IFNAME,), ()),
    PAIRS: ((_IFNAME, _IFNAME), ()),
}

# name, type, hook (netfilter.h: 0 prerouting, 2 forward, 3 output, 4 postrouting), priority
CHAINS: tuple[tuple[str, str, int, int], ...] = (
    ("raw", "filter", 0, -300),
    ("prerouting", "nat", 0, -100),
    ("output", "nat", 3, -100),
    ("postrouting", "nat", 4, 100),
    ("forward", "filter", 2, 0),
)


class PublishedPort(NamedTuple):
    """A host port that leads to a container; `host_ip` "" or "0.0.0.0" = every address of the host."""

    host_ip: str
    host_port: int
    protocol: str
    container_ip: str
    container_port: int


def table_rules() -> Iterable[tuple[str, bytes]]:
    """(chain, expressions) of every rule, in order."""
    iif_oif = e.load_iifname(e.R1) + e.load_oifname(e.R2)
    from_link = e.load_iifname() + e.compare(e.ifname("lo"), equal=False)
    yield "raw", from_link + e.destination_in_loopback() + e.drop()
    yield "raw", from_link + e.source_in_loopback() + e.drop()
    for chain in ("prerouting", "output"):
        key = e.load_destination(e.W0) + e.load_protocol(e.W1) + e.load_port(e.W2)
        exact = key + e.lookup(PUBLISHED, register=e.W0, result=e.W0)
        yield chain, e.destination_is_local() + exact + e.destination_nat(e.W0, e.W1)
        key = e.load_protocol(e.W0) + e.load_port(e.W1)
        any_address = key + e.lookup(PUBLISHED_ANY, register=e.W0, result=e.W0)
        yield chain, e.destination_is_local() + any_address + e.destination_nat(e.W0, e.W1)
    yield "postrouting", e.source_in_loopback() + e.load_oifname() + e.lookup(BRIDGES) + e.masquerade()
    # A container that calls its own published port, or a neighbour's: without this the answer would go to it
    # directly, from an address it never called.
    yield "postrouting", iif_oif + e.lookup(PAIRS) + e.connection_status(e.STATUS_DNAT) + e.masquerade()
    # The same where br_netfilter is loaded: the packet then stays in the bridge and has no incoming interface
    # here, which else only the host's own packets lack.
    bridged = e.load_oifname() + e.lookup(BRIDGES) + e.load_iifname() + e.compare(e.ifname(""))
    bridged += e.source_is_foreign() + e.connection_status(e.STATUS_DNAT)
    yield "postrouting", bridged + e.masquerade()
    leaving = e.load_iifname() + e.lookup(BRIDGES) + iif_oif + e.lookup(PAIRS, inverted=True)
    yield "postrouting", leaving + e.masquerade()
    yield "forward", iif_oif + e.lookup(PAIRS) + e.accept()
    yield "forward", e.load_iifname() + e.lookup(INTERNAL) + e.drop()
    yield "forward", e.load_oifname() + e.lookup(INTERNAL) + e.drop()
    into = e.load_oifname() + e.lookup(BRIDGES)
    yield "forward", into + e.connection_state(e.STATE_ESTABLISHED | e.STATE_RELATED) + e.accept()
    yield "forward", into + e.connection_status(e.STATUS_DNAT) + e.accept()
    yield "forward", into + e.drop()


def network_elements(bridge: str, *, internal: bool) -> dict[str, list[bytes]]:
    """Set -> keys that make a bridge one of ours."""
    name = e.ifname(bridge)
    elements = {BRIDGES: [name], PAIRS: [name + name]}
    if internal:
        elements[INTERNAL] = [name]
    return elements


def port_element(port: PublishedPort) -> tuple[str, bytes, bytes]:
    """(map, key, data) of one published port. Raises KeyError for an unknown protocol."""
    key = struct.pack("!B3xH2x", PROTOCOLS[port.protocol], port.host_port)
    data = _pack_address(port.container_ip) + struct.pack("!H2x", port.container_port)
    if port.host_ip in ("", "0.0.0.0"):
        return PUBLISHED_ANY, key, data
    return PUBLISHED, _pack_address(port.host_ip) + key, data


def parse_port_element(name: str, key: bytes, data: bytes) -> PublishedPort:
    """The inverse of `port_element`."""
    host_ip = ""
    if name == PUBLISHED:
        host_ip, key = _unpack_address(key), key[4:]
    protocol = next((text for text, number in PROTOCOLS.items() if number == key[0]), str(key[0]))
    host_port, container_port = struct.unpack("!H", key[4:6])[0], struct.unpack("!H", data[4:6])[0]
    return PublishedPort(host_ip, host_port, protocol, _unpack_address(data), container_port)


def keys_into(elements: Sequence[tuple[bytes, bytes]], network: int, length: int) -> list[bytes]:
    """The keys of those published ports that lead into a subnet (`network` in host order)."""
    shift = 32 - length
    return [key for key, data in elements if struct.unpack_from("!I", data)[0] >> shift == network >> shift]


def _pack_address(text: str) -> bytes:
    return parse_address(text).to_bytes(4, "big")


def _unpack_address(data: bytes) -> str:
    return format_address(int.from_bytes(data[:4], "big"))
