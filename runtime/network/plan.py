"""What a new network is going to be: subnets, gateways, and what its driver_opts mean. Pure.

The names of options are the reference's (docs.docker.com: bridge, macvlan and ipvlan network drivers).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runtime.errors import InvalidError, UnsupportedError
from runtime.network import ipam
from runtime.network.firewall.rules import NetworkRules
from runtime.network.ipam import Blocks, Subnet
from runtime.network.record import NetworkRecord, Pool

BRIDGE, MACVLAN, IPVLAN = "bridge", "macvlan", "ipvlan"
DRIVERS = (BRIDGE, MACVLAN, IPVLAN)
OPTION_BRIDGE_NAME = "com.docker.network.bridge.name"
OPTION_ICC = "com.docker.network.bridge.enable_icc"
OPTION_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
OPTION_HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
OPTION_INHIBIT_IPV4 = "com.docker.network.bridge.inhibit_ipv4"
OPTION_GATEWAY_MODES = (
    "com.docker.network.bridge.gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6",
)
OPTION_TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"
IPAM_OPTION_SERIAL = "com.docker.network.ipam.serial"
OPTION_MTU = "com.docker.network.driver.mtu"
OPTION_INTERFACE_PREFIX = "com.docker.network.container_iface_prefix"
OPTION_PARENT = "parent"
# How a bridge network's family meets the outside: published ports translated, and nothing else let in; those let in
# by the containers' own addresses; everything let in; or not even the host, in internal networks.
NAT, ROUTED, UNPROTECTED, ISOLATED = "nat", "routed", "nat-unprotected", "isolated"
GATEWAY_MODES = (NAT, ROUTED, UNPROTECTED, ISOLATED)
_MODES = {
    MACVLAN: ("bridge", "vepa", "passthru", "private"),
    IPVLAN: ("l2", "l3", "l3s"),
}
_IPVLAN_FLAGS = ("bridge", "private", "vepa")
_LONGEST_NAME = 15  # IFNAMSIZ without the NUL
_WORDS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


class NetworkRequest(NamedTuple):
    """A network as somebody asks for it."""

    name: str
    project: str = ""
    config_hash: str = ""
    driver: str = ""  # "" = bridge
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False
    pools: tuple[Pool, ...] = ()  # those of a family that is not wanted are left aside
    aux: Mapping[str, str] = {}
    ipam_options: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class HostFacts(NamedTuple):
    """What the choice depends on. `taken` are prefixes in use with their users, `networks` only those of networks."""

    taken: Sequence[tuple[Subnet, str]]
    networks: Sequence[tuple[Subnet, str]]
    uplink_mtu: int  # bytes
    pools: tuple[Blocks, ...] = ()  # chosen by the user; () = the defaults


def plan_network(request: NetworkRequest, network_id: str, facts: HostFacts, *, link: str) -> NetworkRecord:
    """The record of a new network; `link` is the name of its bridge, or of its links' parent, unless an option has one.

    Raises InvalidError, ConflictError, UnsupportedError.
    """
    driver = BRIDGE if request.driver in ("", "default") else request.driver
    if driver not in DRIVERS:
        raise UnsupportedError(
            f"network {request.name}: driver {driver!r} is not supported",
            hint=f"use one of {', '.join(DRIVERS)}",
        )
    if not (request.ipv4 or request.ipv6):
        raise InvalidError(f"network {request.name} has neither IPv4 nor IPv6", hint="set enable_ipv6: true")
    aux = {key: value.partition("/")[0] for key, value in request.aux.items()}
    options = request.options
    is_on(request.ipam_options, IPAM_OPTION_SERIAL, default=False)
    if driver == BRIDGE:
        _check_bridge_options(request)
    return NetworkRecord(
        id=network_id,
        name=request.name,
        driver=driver,
        pools=_plan_pools(request, driver, network_id, facts, aux),
        aux=aux,
        ipam_options=dict(request.ipam_options),
        internal=request.internal or (driver != BRIDGE and not options.get(OPTION_PARENT)),
        bridge=_bridge_name(options, link) if driver == BRIDGE else "",
        parent=_parent(request, link) if driver != BRIDGE else "",
        mode=_mode(request, driver),
        mtu=_mtu(options, facts.uplink_mtu if driver == BRIDGE else 0),
        labels=dict(request.labels),
        options=dict(options),
    )


def is_on(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    """A switch among the options. Raises InvalidError for another word than true and false."""
    text = options.get(name, "").lower()
    if text and text not in _WORDS:
        raise InvalidError(f"{name}: {options[name]!r} is neither true nor false")
    return _WORDS[text] if text else default


def gateway_mode(options: Mapping[str, str], *, ipv6: bool) -> str:
    """One of GATEWAY_MODES. Raises InvalidError."""
    mode = options.get(OPTION_GATEWAY_MODES[ipv6]) or NAT
    if mode not in GATEWAY_MODES:
        raise InvalidError(f"{OPTION_GATEWAY_MODES[ipv6]}: {mode!r} is not one of {', '.join(GATEWAY_MODES)}")
    return mode


def trusted_interfaces(options: Mapping[str, str]) -> tuple[str, ...]:
    """The host's interfaces that reach published ports without a host port. Raises InvalidError."""
    names = tuple(name for name in options.get(OPTION_TRUSTED, "").split(":") if name)
    for name in names:
        _check_interface_name(name)
    return names


def firewall_rules(network: NetworkRecord, *, ipv6: bool) -> NetworkRules:
    """What the firewall of a family has to know of a bridge network."""
    mode = gateway_mode(network.options, ipv6=ipv6)
    return NetworkRules(
        network.bridge,
        internal=network.internal,
        masquerade=mode != ROUTED and is_on(network.options, OPTION_MASQUERADE, default=True),
        routed=mode == ROUTED,
        unprotected=mode == UNPROTECTED,
        trusted=trusted_interfaces(network.options),
    )


def has_host_ports(
    driver: str, options: Mapping[str, str], *, internal: bool, ipv4: bool, ipv6: bool
) -> bool:
    """Whether ports published in such a network are ports of the host."""
    if internal or driver not in ("", "default", BRIDGE):
        return False
    families = [is_ipv6 for is_ipv6, wanted in ((False, ipv4), (True, ipv6)) if wanted]
    return any(gateway_mode(options, ipv6=is_ipv6) != ROUTED for is_ipv6 in families)


def _check_bridge_options(request: NetworkRequest) -> None:
    trusted_interfaces(request.options)
    for ipv6 in (False, True):
        if gateway_mode(request.options, ipv6=ipv6) == ISOLATED and not request.internal:
            raise InvalidError(
                f"network {request.name}: {OPTION_GATEWAY_MODES[ipv6]}: only an internal network can be isolated",
                hint="add internal: true",
            )


def _bridge_name(options: Mapping[str, str], default: str) -> str:
    name = options.get(OPTION_BRIDGE_NAME) or default
    _check_interface_name(name)
    return name


def _check_interface_name(name: str) -> None:
    if len(name.encode()) > _LONGEST_NAME or "/" in name or name in (".", "..") or not name.isprintable():
        raise InvalidError(
            f"{name!r} can't be an interface's name", hint=f"at most {_LONGEST_NAME} characters"
        )


def _parent(request: NetworkRequest, own: str) -> str:
    """The interface that links hang from: where nothing is to leave, one of the network's own, leading nowhere."""
    parent = request.options.get(OPTION_PARENT, "")
    return own if request.internal or not parent else parent


def _mode(request: NetworkRequest, driver: str) -> str:
    if driver == BRIDGE:
        return ""
    mode = _one_of(request, f"{driver}_mode", _MODES[driver])
    flag = _one_of(request, "ipvlan_flag", _IPVLAN_FLAGS) if driver == IPVLAN else _IPVLAN_FLAGS[0]
    return mode if flag == _IPVLAN_FLAGS[0] else f"{mode},{flag}"


def _one_of(request: NetworkRequest, option: str, words: Sequence[str]) -> str:
    word = request.options.get(option) or words[0]
    if word not in words:
        raise InvalidError(f"network {request.name}: {option} {word!r} is not one of {', '.join(words)}")
    return word


def _mtu(options: Mapping[str, str], default: int) -> int:
    text = options.get(OPTION_MTU, "")
    if text and not (text.isdigit() and 68 <= int(text) <= 65535):
        raise InvalidError(f"{OPTION_MTU}: {text!r} is not a number of bytes from 68 to 65535")
    return int(text) if text else default


def _plan_pools(
    request: NetworkRequest, driver: str, network_id: str, facts: HostFacts, aux: Mapping[str, str]
) -> tuple[Pool, ...]:
    # The others' links are behind a parent, in the same subnet as the host's own address.
    taken = list(facts.taken if driver == BRIDGE else facts.networks)
    kept = {ipam.parse_address(address) for address in aux.values()}
    planned: list[Pool] = []
    for ipv6 in (False, True):
        if not (request.ipv6 if ipv6 else request.ipv4):
            continue
        wanted = [pool for pool in request.pools if _is_ipv6(pool) == ipv6]
        for pool in wanted or [Pool("")]:
            subnet = _subnet(pool, ipv6, network_id, facts, taken)
            taken.append((subnet, f"network {request.name}"))
            gateway = ""
            if driver != BRIDGE or pool.gateway or gateway_mode(request.options, ipv6=ipv6) != ISOLATED:
                gateway = ipam.format_address(ipam.choose_gateway(subnet, pool.gateway, kept), subnet.bits)
            planned.append(Pool(str(subnet), gateway, pool.ip_range))
    return tuple(planned)


def _is_ipv6(pool: Pool) -> bool:
    return ipam.is_ipv6(pool.subnet or pool.gateway or pool.ip_range)


def _subnet(
    pool: Pool, ipv6: bool, network_id: str, facts: HostFacts, taken: Iterable[tuple[Subnet, str]]
) -> Subnet:
    if pool.subnet:
        subnet = ipam.parse_subnet(pool.subnet)
        ipam.check_subnet(subnet, taken)
        return subnet
    bits = ipam.IPV6_BITS if ipv6 else ipam.IPV4_BITS
    own = (ipam.unique_local_pool(network_id),) if ipv6 else ipam.POOLS
    blocks = tuple(item for item in facts.pools if item.bits == bits) or own
    return ipam.choose_subnet([prefix for prefix, _ in taken], blocks)
