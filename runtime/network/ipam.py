"""Which subnet a network gets and which address an endpoint gets. Pure; addresses are integers in host order.

The default pools are those of the reference engine, cut smaller so that more networks fit: /20 blocks of
172.18.0.0 to 172.31.255.255 (172.17/16 is docker0's), /24 blocks of 192.168.0.0/16, then /20 blocks of
10.0.0.0/8. An IPv6 network gets a /64 of a unique local /48 of its own (RFC 4193).
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from runtime.errors import ConflictError, InvalidError

IPV4_BITS, IPV6_BITS = 32, 128


class Subnet(NamedTuple):
    """An IP prefix: first address, number of fixed bits, and the bits of an address: 32 or 128."""

    network: int
    length: int
    bits: int = IPV4_BITS

    def __str__(self) -> str:
        return f"{format_address(self.network, self.bits)}/{self.length}"

    @property
    def last(self) -> int:
        """The last address (in IPv4 the broadcast address)."""
        return self.network | ((1 << (self.bits - self.length)) - 1)


class Blocks(NamedTuple):
    """A pool to choose subnets from: `number` blocks of `length` fixed bits from the address `first` on."""

    first: int
    length: int
    number: int
    bits: int = IPV4_BITS


POOLS: tuple[Blocks, ...] = (
    Blocks(0xAC120000, 20, 14 * 16),  # 172.18.0.0 to 172.31.255.255
    Blocks(0xAC100000, 20, 16),  # 172.16.0.0/16
    Blocks(0xC0A80000, 24, 256),  # 192.168.0.0/16
    Blocks(0x0A000000, 20, 4096),  # 10.0.0.0/8
)


def is_ipv6(text: str) -> bool:
    """Whether the text of an address or subnet is one of IPv6."""
    return ":" in text


def parse_address(text: str) -> int:
    """The text of an address to an integer. Raises InvalidError."""
    if is_ipv6(text):
        return _parse_ipv6(text)
    parts = text.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 for p in parts):
        numbers = [int(p) for p in parts]
        if max(numbers) <= 255:
            return numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]
    raise InvalidError(
        f"{text!r} is not an IP address", hint="write it as four numbers, such as 172.28.0.10, or as IPv6"
    )


def _parse_ipv6(text: str) -> int:
    from ipaddress import IPv6Address  # only where a network has IPv6: the import costs milliseconds

    try:
        return int(IPv6Address(text))
    except ValueError as error:
        raise InvalidError(f"{text!r} is not an IPv6 address: {error}") from error


def format_address(address: int, bits: int = IPV4_BITS) -> str:
    """An integer to text."""
    if bits == IPV6_BITS:
        from ipaddress import IPv6Address

        return str(IPv6Address(address))
    return f"{address >> 24 & 255}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def parse_subnet(text: str) -> Subnet:
    """ "172.28.0.0/16" to a Subnet; bits behind the prefix are cut off. Raises InvalidError."""
    address, slash, length = text.partition("/")
    bits = IPV6_BITS if is_ipv6(address) else IPV4_BITS
    if not slash or not (length.isascii() and length.isdigit()) or int(length) > bits:
        raise InvalidError(
            f"{text!r} is not a subnet", hint="write it as address/bits, such as 172.28.0.0/16 or fd00:1::/64"
        )
    fixed = int(length)
    return Subnet(parse_address(address) & mask_of(fixed, bits), fixed, bits)


def mask_of(length: int, bits: int = IPV4_BITS) -> int:
    """The netmask of so many bits."""
    return ((1 << length) - 1) << (bits - length)


def parse_pools(text: str) -> tuple[Blocks, ...]:
    """ "10.200.0.0/16:24,fd00:1::/48:64": subnets to cut blocks of so many fixed bits from. Raises InvalidError."""
    pools = []
    for word in text.split(","):
        prefix, _, length = word.strip().rpartition(":")
        if not prefix or not length.isdigit():
            raise InvalidError(
                f"{word!r} is not a pool of addresses",
                hint="write it as 10.200.0.0/16:24: from this, blocks of /24",
            )
        subnet = parse_subnet(prefix)
        smallest = subnet.bits - (2 if subnet.bits == IPV4_BITS else 1)
        if not subnet.length <= int(length) <= smallest:
            raise InvalidError(
                f"a pool {prefix} has no blocks of /{length}",
                hint=f"/{subnet.length} to /{smallest} are possible",
            )
        pools.append(Blocks(subnet.network, int(length), 1 << (int(length) - subnet.length), subnet.bits))
    return tuple(pools)


def unique_local_pool(network_id: str) -> Blocks:
    """The /64 blocks of a unique local /48 made from a network's (random, hexadecimal) id.

    RFC 4193 asks for 40 random bits, so that networks that are joined one day do not collide.
    """
    return Blocks((0xFD << 120) | (int(network_id[:10], 16) << 80), 64, 1 << 16, IPV6_BITS)


def overlaps(one: Subnet, other: Subnet) -> bool:
    """Whether two prefixes share an address."""
    return one.bits == other.bits and one.network <= other.last and other.network <= one.last


def mac_of(address: int) -> str:
    """A locally administered MAC made from the address: a new owner of an address keeps neighbours'
    caches right.
    """
    return "02:42:" + ":".join(f"{address >> shift & 255:02x}" for shift in (24, 16, 8, 0))


def choose_subnet(taken: Iterable[Subnet], pools: Sequence[Blocks] = POOLS) -> Subnet:
    """The first free block of the pools, which are of one family. `taken`: other networks' subnets and the host's
    routes and addresses.

    Default routes (length 0) are ignored. Raises ConflictError if all is taken.
    """
    bits = pools[0].bits if pools else IPV4_BITS
    used = sorted(
        {(subnet.network, subnet.last) for subnet in taken if subnet.length and subnet.bits == bits}
    )
    for first, length, count, _ in pools:
        size = 1 << (bits - length)
        candidate, end = first, first + size * count
        for low, high in used:
            if high < candidate:
                continue
            if low >= candidate + size:
                break
            candidate = (high + size) // size * size
        if candidate + size <= end:
            return Subnet(candidate, length, bits)
    raise ConflictError(
        "no free subnet is left for a new network",
        hint="remove unused networks, give the network a subnet of its own (ipam.config.subnet),"
        " or other pools to all (PYCOMPOSE_ADDRESS_POOLS)",
    )


def check_subnet(wanted: Subnet, taken: Iterable[tuple[Subnet, str]]) -> None:
    """Raises ConflictError naming whose prefix a wanted subnet overlaps, InvalidError if it is too small."""
    smallest = wanted.bits - 2
    if wanted.length > smallest:
        raise InvalidError(f"subnet {wanted} is too small", hint=f"a network needs at least a /{smallest}")
    for subnet, owner in taken:
        if subnet.length and overlaps(wanted, subnet):
            raise ConflictError(
                f"subnet {wanted} overlaps {subnet}, which is used by {owner}",
                hint="choose another subnet, or leave it out to have a free one chosen",
            )


def choose_gateway(subnet: Subnet, requested: str = "", aux: Collection[int] = ()) -> int:
    """The requested gateway or the first address that is not an auxiliary one. Raises InvalidError."""
    if requested:
        address = parse_address(requested.partition("/")[0])
        if not subnet.network < address < subnet.last:
            raise InvalidError(f"gateway {requested} is not an address of subnet {subnet}")
        return address
    address = subnet.network + 1
    while address in aux:
        address += 1
    return address


def allocate_address(
    subnet: Subnet,
    used: Collection[int],
    *,
    gateway: int = 0,
    ip_range: Subnet | None = None,
    requested: str = "",
    after: int = 0,
) -> int:
    """The requested or the lowest free address. `used` holds other endpoints' and auxiliary addresses.

    With `after`, the next free one after that, and then from the lowest on.
    A requested address may lie outside ip_range (as in the reference), an automatic one may not.
    Raises InvalidError, ConflictError.
    """
    if requested:
        return _requested_address(subnet, used, gateway, requested)
    if ip_range is not None and not (subnet.network <= ip_range.network and ip_range.last <= subnet.last):
        raise InvalidError(f"ip_range {ip_range} is not inside subnet {subnet}")
    room = ip_range or subnet
    low, high = max(room.network, subnet.network + 1), min(room.last, subnet.last - 1)
    begin = after + 1 if low <= after < high else low
    for address in chain(range(begin, high + 1), range(low, begin)):
        if address != gateway and address not in used:
            return address
    raise ConflictError(
        f"no free address is left in {room}",
        hint="remove containers, or make the network with a larger subnet",
    )


def _requested_address(subnet: Subnet, used: Collection[int], gateway: int, requested: str) -> int:
    address = parse_address(requested)
    if not subnet.network < address < subnet.last:
        raise InvalidError(
            f"address {requested} is not one of subnet {subnet}",
            hint="it must lie inside the network's ipam.config.subnet",
        )
    if address == gateway or address in used:
        owner = "the gateway" if address == gateway else "another container"
        raise ConflictError(f"address {requested} is already taken by {owner}")
    return address
