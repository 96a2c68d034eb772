"""Generated files of /etc."""

import json

import pytest

from runtime.errors import InvalidError
from runtime.network.etc_files import (
    ResolvConf,
    hostname_text,
    hosts_text,
    parse_resolv_conf,
    resolv_conf_text,
)
from runtime.network.record import (
    Address,
    Endpoint,
    NetworkRecord,
    Pool,
    endpoint_from_json,
    endpoint_to_json,
    network_from_json,
    to_json,
)


def test_hosts() -> None:
    text = hosts_text(
        "web",
        "example.org",
        ["172.18.0.2", "172.19.0.2"],
        [("db", "10.0.0.1"), ("h", "host-gateway")],
        "172.18.0.1",
    )
    lines = text.splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-4:] == [
        "10.0.0.1\tdb",
        "172.18.0.1\th",
        "172.18.0.2\tweb.example.org web",
        "172.19.0.2\tweb.example.org web",
    ]
    assert hosts_text("web").splitlines()[-1] == "127.0.1.1\tweb"
    with pytest.raises(InvalidError, match="host-gateway"):
        hosts_text("web", extra_hosts=[("h", "host-gateway")])
    assert hostname_text("web") == "web\n"


HOST = ResolvConf(("10.0.0.53",), ("corp.example",), ("timeout:1",))


def test_parse_resolv_conf() -> None:
    text = (
        "# c\nnameserver 10.0.0.53 # x\ndomain old\nsearch corp.example\noptions timeout:1\n;x\nnameserver\n"
    )
    assert parse_resolv_conf(text) == HOST


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"embedded": True}, "nameserver 127.0.0.11\nsearch corp.example\noptions timeout:1 ndots:0\n"),
        ({"embedded": False}, "nameserver 10.0.0.53\nsearch corp.example\noptions timeout:1\n"),
        (
            {"embedded": False, "dns": ["1.1.1.1"], "dns_search": ["."]},
            "nameserver 1.1.1.1\noptions timeout:1\n",
        ),
        (
            {"embedded": True, "dns": ["1.1.1.1"], "dns_search": ["a", "b"], "dns_opt": ["ndots:2"]},
            "nameserver 127.0.0.11\nsearch a b\noptions ndots:2\n",
        ),
    ],
)
def test_resolv_conf(options: dict[str, object], wanted: str) -> None:
    assert resolv_conf_text(HOST, **options) == wanted  # type: ignore[arg-type]


def test_records_survive_json() -> None:
    pools = (Pool("10.0.0.0/24", "10.0.0.1"), Pool("fd00::/64", "fd00::1", "fd00::100/120"))
    network = NetworkRecord("i", "n", pools=pools, aux={"a": "10.0.0.9"}, internal=True)
    assert network_from_json(json.loads(json.dumps(to_json(network)))) == network
    addresses = (Address("10.0.0.2", 24, "10.0.0.1"), Address("fd00::2", 64))
    endpoint = Endpoint(
        "i", "n", "b", "pv", "eth0", addresses, "02:42:0a:00:00:02", 1500, ("web",), link_local=("fe80::9",)
    )
    assert endpoint_from_json(json.loads(json.dumps(endpoint_to_json(endpoint)))) == endpoint
    # What an earlier version's shim does not know is left out while it is not used.
    assert len(endpoint_to_json(endpoint)) == Endpoint._fields.index("link_local") + 1
    assert len(endpoint_to_json(endpoint._replace(routed6=True))) == Endpoint._fields.index("routed6") + 1
