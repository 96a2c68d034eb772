"""`--filter` of the network commands."""

import pytest

from composer.cli.network_filters import LISTED, PRUNED, fits, parse_filters
from composer.errors import ComposeError
from runtime import NetworkRow
from runtime.network.record import NetworkRecord

NETWORK = NetworkRow(
    "abc123" * 8,
    "shop_front",
    "shop",
    0,
    "",
    "",
    NetworkRecord("abc123" * 8, "shop_front", labels={"a": "1"}),
)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), True),
        (("name=front",), True),
        (("name=^front",), False),
        (("name=shop_*",), True),
        (("name=*",), False),
        (("name=x", "name=front"), True),
        (("name=front", "driver=macvlan"), False),
        (("driver=bridge", "scope=local", "type=custom", "id=abc"), True),
        (("type=builtin",), False),
        (("scope=swarm",), False),
        (("label=a",), True),
        (("label=a=1",), True),
        (("label=a", "label=b"), False),
        (("dangling=true",), False),
        (("dangling=0",), True),
    ],
)
def test_listed(words: tuple[str, ...], wanted: bool) -> None:
    assert fits(NETWORK, parse_filters(words, LISTED), used=True) is wanted


@pytest.mark.parametrize(("word", "wanted"), [("label!=a", False), ("label!=a=2", True), ("label=a", True)])
def test_pruned(word: str, wanted: bool) -> None:
    assert fits(NETWORK, parse_filters((word,), PRUNED), used=False) is wanted


@pytest.mark.parametrize("words", [("name",), ("color=red",), ("type=x",), ("dangling=x",), ("until=1h",)])
def test_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ComposeError):
        parse_filters(words, LISTED)


def test_one_time_only() -> None:
    with pytest.raises(ComposeError, match="several times"):
        parse_filters(("until=1h", "until=2h"), PRUNED)
