"""What our nftables tables hold: chains, rules, sets, and the elements of one network or port. Pure.

    table ip pycompose {                    comment = VERSION; table ip6 is the same with ipv6_addr
      map published     { ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }
      map published_any {             inet_proto . inet_service : ipv4_addr . inet_service }
      set bridges  { ifname }               every bridge of ours
      set internal { ifname }               those with no way out
      set pairs    { ifname . ifname }      each bridge with itself: packets that stay in a network
      set unmasked { ifname }               those whose packets leave with their own addresses
      set routed   { ifname }               those whose published ports everybody reaches by the containers' addresses
      set unprotected { ifname }            those of which everybody but other networks reaches every port
      set trusted  { ifname . ifname }      interfaces of the host that reach a bridge's published ports so
      set direct   { ipv4_addr . inet_proto . inet_service }  the ports that `routed` and `trusted` are about

      chain raw         prerouting -300     127/8 never comes in by a link (route_localnet would let it)
      chain prerouting  nat -100            a local address: dnat by the maps
      chain output      nat -100            the same for the host's own connections
      chain postrouting nat 100             127/8 to a bridge, hairpin, and everything leaving a bridge: masquerade
      chain forward     filter 0            same network, answers and dnat'ed in, and what routed, trusted and
                                            unprotected let in; nothing else in; internal: nothing
    }

A network is two elements or a few more, a port is one, so both are one small message. The interface a packet came in
by is known in postrouting since Linux 5.7, which is why no rule needs to know a subnet.

IPv6 has no route_localnet: ::1 can't be translated, so that table leaves it alone (proxy.py serves it).
"""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from runtime.network.firewall import expressions as e
from runtime.network.ipam import IPV4_BITS, IPV6_BITS, Subnet, format_address, is_ipv6, parse_address

VERSION = "pycompose network 3"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}

# (nft type number, bytes)
_IPV4, _IPV6, _PROTOCOL, _PORT, _IFNAME = (7, 4), (8, 16), (12, 1), (13, 2), (41, 16)
_LOOPBACK6 = bytes(15) + b"\1"
PUBLISHED, PUBLISHED_ANY = "published", "published_any"
BRIDGES, INTERNAL, PAIRS, UNMASKED = "bridges", "internal", "pairs", "unmasked"
ROUTED, UNPROTECTED, TRUSTED, DIRECT = "routed", "unprotected", "trusted", "direct"
# Their keys end with the name of the bridge that they are about.
OF_BRIDGES = (BRIDGES, INTERNAL, PAIRS, UNMASKED, ROUTED, UNPROTECTED, TRUSTED)
OF_PORTS = (PUBLISHED, PUBLISHED_ANY, DIRECT)
_ICMP = {False: b"\1", True: b"\x3a"}  # by whether it is IPv6's

Fields = tuple[tuple[int, int], ...]


def sets(*, ipv6: bool) -> dict[str, tuple[Fields, Fields]]:
    """Name -> (key, data) of every set and map."""
    address = _IPV6 if ipv6 else _IPV4
    return {
        PUBLISHED: ((address, _PROTOCOL, _PORT), (address, _PORT)),
        PUBLISHED_ANY: ((_PROTOCOL, _PORT), (address, _PORT)),
        BRIDGES: ((_IFNAME,), ()),
        INTERNAL: ((_IFNAME,), ()),
        PAIRS: ((_IFNAME, _IFNAME), ()),
        UNMASKED: ((_IFNAME,), ()),
        ROUTED: ((_IFNAME,), ()),
        UNPROTECTED: ((_IFNAME,), ()),
        TRUSTED: ((_IFNAME, _IFNAME), ()),
        DIRECT: ((address, _PROTOCOL, _PORT), ()),
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
    """A host port that leads to a container; `host_ip` "", "0.0.0.0" or "::" = every address of the host.

    Both addresses are of one family, the container's tells which. A `host_port` of 0 stands for none: whom the
    container's network lets in so reaches the port by the container's own address.
    """

    host_ip: str
    host_port: int
    protocol: str
    container_ip: str
    container_port: int


def table_rules(*, ipv6: bool) -> Iterable[tuple[str, bytes]]:
    """(chain, expressions) of every rule, in order."""
    iif_oif = e.load_iifname(e.R1) + e.load_oifname(e.R2)
    if not ipv6:
        from_link = e.load_iifname() + e.compare(e.ifname("lo"), equal=False)
        yield "raw", from_link + e.destination_in_loopback() + e.drop()
        yield "raw", from_link + e.source_in_loopback() + e.drop()
    yield from _translations(ipv6=ipv6)
    if not ipv6:
        yield "postrouting", e.source_in_loopback() + e.load_oifname() + e.lookup(BRIDGES) + e.masquerade()
    # A container that calls its own published port, or a neighbour's: without this the answer would go to it
    # directly, from an address it never called.
    yield "postrouting", iif_oif + e.lookup(PAIRS) + e.connection_status(e.STATUS_DNAT) + e.masquerade()
    # The same where br_netfilter is loaded: the packet then stays in the bridge and has no incoming interface
    # here, which else only the host's own packets lack.
    bridged = e.load_oifname() + e.lookup(BRIDGES) + e.load_iifname() + e.compare(e.ifname(""))
    bridged += e.source_is_foreign() + e.connection_status(e.STATUS_DNAT)
    yield "postrouting", bridged + e.masquerade()
    leaving = e.load_iifname() + e.lookup(BRIDGES) + e.lookup(UNMASKED, inverted=True)
    leaving += iif_oif + e.lookup(PAIRS, inverted=True)
    yield "postrouting", leaving + e.masquerade()
    yield "forward", iif_oif + e.lookup(PAIRS) + e.accept()
    yield "forward", e.load_iifname() + e.lookup(INTERNAL) + e.drop()
    yield "forward", e.load_oifname() + e.lookup(INTERNAL) + e.drop()
    into = e.load_oifname() + e.lookup(BRIDGES)
    yield "forward", into + e.connection_state(e.STATE_ESTABLISHED | e.STATE_RELATED) + e.accept()
    yield "forward", into + e.connection_status(e.STATUS_DNAT) + e.accept()
    routed = e.load_oifname() + e.lookup(ROUTED)
    yield "forward", routed + e.load_protocol() + e.compare(_ICMP[ipv6]) + e.accept()
    direct = _destination(ipv6=ipv6) + e.lookup(DIRECT, register=e.W0)
    yield "forward", routed + direct + e.accept()
    yield "forward", iif_oif + e.lookup(TRUSTED) + direct + e.accept()
    unprotected = e.load_oifname() + e.lookup(UNPROTECTED)
    yield "forward", unprotected + e.load_iifname() + e.lookup(BRIDGES, inverted=True) + e.accept()
    yield "forward", into + e.drop()


def _translations(*, ipv6: bool) -> Iterable[tuple[str, bytes]]:
    """Packets to a published port of one of the host's addresses, from outside and from the host itself."""
    local = e.destination_is_local()
    if ipv6:
        local += e.load_destination(ipv6=True) + e.compare(_LOOPBACK6, equal=False)
    translate = e.destination_nat(e.W0, _after_address(ipv6=ipv6)[0], ipv6=ipv6)
    for chain in ("prerouting", "output"):
        key = _destination(ipv6=ipv6)
        yield chain, local + key + e.lookup(PUBLISHED, register=e.W0, result=e.W0) + translate
        key = e.load_protocol(e.W0) + e.load_port(e.W1)
        yield chain, local + key + e.lookup(PUBLISHED_ANY, register=e.W0, result=e.W0) + translate


def _destination(*, ipv6: bool) -> bytes:
    """Loads address, protocol and port that a packet goes to, one after the other from W0 on."""
    protocol, port = _after_address(ipv6=ipv6)
    return e.load_destination(e.W0, ipv6=ipv6) + e.load_protocol(protocol) + e.load_port(port)


def _after_address(*, ipv6: bool) -> tuple[int, int]:
    """The two registers behind an address; one of IPv6 fills all of R1."""
    return (e.W4, e.W5) if ipv6 else (e.W1, e.W2)


class NetworkRules(NamedTuple):
    """What the firewall of one family has to know of a network; the sets above say what the words mean."""

    bridge: str
    internal: bool = False
    masquerade: bool = True
    routed: bool = False
    unprotected: bool = False
    trusted: tuple[str, ...] = ()  # names of the host's interfaces


def network_elements(network: NetworkRules) -> dict[str, list[bytes]]:
    """Set -> keys that make a bridge one of ours."""
    name = e.ifname(network.bridge)
    elements = {BRIDGES: [name], PAIRS: [name + name]}
    if network.internal:
        elements[INTERNAL] = [name]
    if not network.masquerade:
        elements[UNMASKED] = [name]
    if network.routed:
        elements[ROUTED] = [name]
    if network.unprotected:
        elements[UNPROTECTED] = [name]
    if network.trusted:
        elements[TRUSTED] = [e.ifname(interface) + name for interface in network.trusted]
    return elements


def keys_of(keys: Iterable[bytes], bridge: str) -> list[bytes]:
    """Those of a set's keys that are about a bridge."""
    name = e.ifname(bridge)
    return [key for key in keys if key.endswith(name)]


def port_element(port: PublishedPort) -> tuple[str, bytes, bytes]:
    """(set, key, data) of one published port. Raises KeyError for an unknown protocol."""
    if not port.host_port:
        key = struct.pack("!B3xH2x", PROTOCOLS[port.protocol], port.container_port)
        return DIRECT, _pack_address(port.container_ip) + key, b""
    key = struct.pack("!B3xH2x", PROTOCOLS[port.protocol], port.host_port)
    data = _pack_address(port.container_ip) + struct.pack("!H2x", port.container_port)
    if port.host_ip in ("", "0.0.0.0", "::"):
        return PUBLISHED_ANY, key, data
    return PUBLISHED, _pack_address(port.host_ip) + key, data


def parse_port_element(name: str, key: bytes, data: bytes, *, ipv6: bool) -> PublishedPort:
    """The inverse of `port_element`."""
    width = 16 if ipv6 else 4
    host_ip = ""
    if name == PUBLISHED:
        host_ip, key = _unpack_address(key[:width]), key[width:]
    protocol = next((text for text, number in PROTOCOLS.items() if number == key[0]), str(key[0]))
    host_port = struct.unpack("!H", key[4:6])[0]
    container_port = struct.unpack("!H", data[width : width + 2])[0]
    return PublishedPort(host_ip, host_port, protocol, _unpack_address(data[:width]), container_port)


def keys_into(name: str, elements: Sequence[tuple[bytes, bytes]], subnet: Subnet) -> list[bytes]:
    """The keys of those published ports, of the elements of one of OF_PORTS, that lead into a subnet."""
    width = subnet.bits // 8
    addresses = (
        (key, int.from_bytes((key if name == DIRECT else data)[:width], "big")) for key, data in elements
    )
    return [key for key, address in addresses if subnet.network <= address <= subnet.last]


def _pack_address(text: str) -> bytes:
    return parse_address(text).to_bytes((IPV6_BITS if is_ipv6(text) else IPV4_BITS) // 8, "big")


def _unpack_address(data: bytes) -> str:
    return format_address(int.from_bytes(data, "big"), len(data) * 8)
