"""Choosing subnets and addresses."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConflictError, InvalidError
from runtime.network import ipam
from runtime.network.ipam import Subnet, parse_subnet


def subnets(*texts: str) -> list[Subnet]:
    return [parse_subnet(text) for text in texts]


def test_first_subnet_is_behind_docker0s() -> None:
    assert str(ipam.choose_subnet([])) == "172.18.0.0/20"


@pytest.mark.parametrize(
    ("taken", "wanted"),
    [
        (["172.18.0.0/20"], "172.18.16.0/20"),
        (["172.18.0.0/16"], "172.19.0.0/20"),
        (["172.18.3.4/32"], "172.18.16.0/20"),
        (["0.0.0.0/0"], "172.18.0.0/20"),
        (["172.16.0.0/12"], "192.168.0.0/24"),
        (["172.16.0.0/12", "192.168.0.0/16"], "10.0.0.0/20"),
        (["172.18.16.0/20", "172.18.0.0/20", "172.18.32.1/32"], "172.18.48.0/20"),
    ],
)
def test_taken_prefixes_are_avoided(taken: list[str], wanted: str) -> None:
    assert str(ipam.choose_subnet(subnets(*taken))) == wanted


def test_no_subnet_left() -> None:
    with pytest.raises(ConflictError, match="no free subnet"):
        ipam.choose_subnet(subnets("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"))


PREFIXES = st.builds(
    lambda number, length: Subnet(number & ipam.mask_of(length), length),
    st.sampled_from([0xAC100000, 0xAC120000, 0xC0A80000, 0x0A000000]).flatmap(
        lambda base: st.integers(base, base + 0xFFFFF)
    ),
    st.integers(13, 32),
)


@given(st.lists(PREFIXES, max_size=12))
def test_a_chosen_subnet_overlaps_nothing(taken: list[Subnet]) -> None:
    chosen = ipam.choose_subnet(taken)
    network = ipaddress.ip_network(str(chosen))
    assert not any(network.overlaps(ipaddress.ip_network(str(t))) for t in taken)
    assert network.is_private


@given(st.integers(0, 0xFFFFFFFF))
def test_addresses_round_trip(number: int) -> None:
    text = ipam.format_address(number)
    assert ipam.parse_address(text) == number == int(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.256", "a.b.c.d", "1.2.3.4.5", "fe80::1::", "1.2.3.-4", ":"]
)
def test_bad_addresses(text: str) -> None:
    with pytest.raises(InvalidError):
        ipam.parse_address(text)


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/x", "/8", "10.0.0.0/"])
def test_bad_subnets(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_subnet(text)


def test_wanted_subnet_is_checked() -> None:
    taken = [(parse_subnet("192.0.2.0/24"), "the host's interface eth0")]
    with pytest.raises(ConflictError, match="eth0"):
        ipam.check_subnet(parse_subnet("192.0.2.128/25"), taken)
    with pytest.raises(InvalidError, match="too small"):
        ipam.check_subnet(parse_subnet("10.0.0.0/31"), taken)
    ipam.check_subnet(parse_subnet("10.0.0.0/24"), taken)


def test_gateway() -> None:
    subnet = parse_subnet("172.28.0.0/24")
    first = subnet.network + 1
    assert ipam.choose_gateway(subnet) == first
    assert ipam.choose_gateway(subnet, aux={first}) == first + 1
    assert ipam.format_address(ipam.choose_gateway(subnet, "172.28.0.254")) == "172.28.0.254"
    with pytest.raises(InvalidError):
        ipam.choose_gateway(subnet, "172.29.0.1")


def allocate(**options: object) -> str:
    subnet = parse_subnet("172.28.0.0/29")
    used = {ipam.parse_address(t) for t in options.pop("used", ())}  # type: ignore[attr-defined]
    return ipam.format_address(
        ipam.allocate_address(subnet, used, gateway=subnet.network + 1, **options)  # type: ignore[arg-type]
    )


def test_addresses_are_the_lowest_free_ones() -> None:
    assert allocate() == "172.28.0.2"
    assert allocate(used=["172.28.0.2", "172.28.0.4"]) == "172.28.0.3"
    assert allocate(ip_range=parse_subnet("172.28.0.4/30")) == "172.28.0.4"
    assert allocate(requested="172.28.0.6") == "172.28.0.6"


@pytest.mark.parametrize(
    ("requested", "error"),
    [
        ("172.28.0.1", ConflictError),
        ("172.28.0.5", ConflictError),
        ("172.28.0.7", InvalidError),
        ("1.1.1.1", InvalidError),
    ],
)
def test_bad_requests(requested: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        allocate(used=["172.28.0.5"], requested=requested)


def test_a_full_subnet() -> None:
    with pytest.raises(ConflictError, match="no free address"):
        allocate(used=[f"172.28.0.{n}" for n in range(2, 7)])
    with pytest.raises(InvalidError, match="ip_range"):
        allocate(ip_range=parse_subnet("10.0.0.0/30"))


def test_no_address_twice_in_a_row() -> None:
    subnet = parse_subnet("10.0.0.0/29")
    given, last = [], 0
    for _ in range(6):
        last = ipam.allocate_address(subnet, {subnet.network + 4}, gateway=subnet.network + 1, after=last)
        given.append(last - subnet.network)
    assert given == [2, 3, 5, 6, 2, 3]
