"""Which subnet a network gets and which address an endpoint gets. Pure; addresses are integers in host order.

The default pools are those of the reference engine, cut smaller so that more networks fit: /20 blocks of
172.18.0.0 to 172.31.255.255 (172.17/16 is docker0's), /24 blocks of 192.168.0.0/16, then /20 blocks of
10.0.0.0/8.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from runtime.errors import ConflictError, InvalidError

_ALL = 0xFFFFFFFF


class Subnet(NamedTuple):
    """An IPv4 prefix: first address and number of fixed bits."""

    network: int
    length: int

    def __str__(self) -> str:
        return f"{format_address(self.network)}/{self.length}"

    @property
    def last(self) -> int:
        """The last address (the broadcast address)."""
        return self.network | (_ALL >> self.length if self.length else _ALL)


# (first block, number of bits of a block, number of blocks)
POOLS: tuple[tuple[int, int, int], ...] = (
    (0xAC120000, 20, 14 * 16),  # 172.18.0.0 to 172.31.255.255
    (0xAC100000, 20, 16),  # 172.16.0.0/16
    (0xC0A80000, 24, 256),  # 192.168.0.0/16
    (0x0A000000, 20, 4096),  # 10.0.0.0/8
)


def parse_address(text: str) -> int:
    """Dotted IPv4 text to an integer. Raises InvalidError."""
    parts = text.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 for p in parts):
        numbers = [int(p) for p in parts]
        if max(numbers) <= 255:
            return numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | numbers[3]
    hint = (
        "IPv6 is not supported here yet" if ":" in text else "write it as four numbers, such as 172.28.0.10"
    )
    raise InvalidError(f"{text!r} is not an IPv4 address", hint=hint)


def format_address(address: int) -> str:
    """An integer to dotted text."""
    return f"{address >> 24 & 255}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def parse_subnet(text: str) -> Subnet:
    """ "172.28.0.0/16" to a Subnet; bits behind the prefix are cut off. Raises InvalidError."""
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or int(length) > 32:
        raise InvalidError(
            f"{text!r} is not a subnet", hint="write it as address/bits, such as 172.28.0.0/16"
        )
    bits = int(length)
    return Subnet(parse_address(address) & mask_of(bits), bits)


def mask_of(length: int) -> int:
    """The netmask of so many bits."""
    return (_ALL << (32 - length)) & _ALL


def overlaps(one: Subnet, other: Subnet) -> bool:
    """Whether two prefixes share an address."""
    return one.network <= other.last and other.network <= one.last


def mac_of(address: int) -> str:
    """A locally administered MAC made from the address: a new owner of an address keeps neighbours'
    caches right.
    """
    return "02:42:" + ":".join(f"{address >> shift & 255:02x}" for shift in (24, 16, 8, 0))


def choose_subnet(taken: Iterable[Subnet], pools: Sequence[tuple[int, int, int]] = POOLS) -> Subnet:
    """The first free block of the pools. `taken`: other networks' subnets and the host's routes and
    addresses.

    Default routes (length 0) are ignored. Raises ConflictError if all is taken.
    """
    used = sorted({(subnet.network, subnet.last) for subnet in taken if subnet.length})
    for first, length, count in pools:
        size = 1 << (32 - length)
        candidate, end = first, first + size * count
        for low, high in used:
            if high < candidate:
                continue
            if low >= candidate + size:
                break
            candidate = (high + size) // size * size
        if candidate + size <= end:
            return Subnet(candidate, length)
    raise ConflictError(
        "no free subnet is left for a new network",
        hint="remove unused networks, or give the network a subnet of its own (ipam.config.subnet)",
    )


def check_subnet(wanted: Subnet, taken: Iterable[tuple[Subnet, str]]) -> None:
    """Raises ConflictError naming whose prefix a wanted subnet overlaps, InvalidError if it is too small."""
    if wanted.length > 30:
        raise InvalidError(f"subnet {wanted} is too small", hint="a network needs at least a /30")
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
) -> int:
    """The requested or the lowest free address. `used` holds other endpoints' and auxiliary addresses.

    A requested address may lie outside ip_range (as in the reference), an automatic one may not.
    Raises InvalidError, ConflictError.
    """
    if requested:
        return _requested_address(subnet, used, gateway, requested)
    if ip_range is not None and not (subnet.network <= ip_range.network and ip_range.last <= subnet.last):
        raise InvalidError(f"ip_range {ip_range} is not inside subnet {subnet}")
    room = ip_range or subnet
    low, high = max(room.network, subnet.network + 1), min(room.last, subnet.last - 1)
    for address in range(low, high + 1):
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
            hint="ipv4_address must lie inside the network's ipam.config.subnet",
        )
    if address == gateway or address in used:
        owner = "the gateway" if address == gateway else "another container"
        raise ConflictError(f"address {requested} is already taken by {owner}")
    return address
