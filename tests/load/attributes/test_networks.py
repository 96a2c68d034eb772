"""networks of a service and of the project, network_mode."""

import pytest

from composer.model.project import Ipam, Pool


def test_the_default_network(given):
    loaded = given("user: x")
    assert loaded.printed["networks"] == {"default": None}
    assert loaded.tree["networks"] == {"default": {"name": "demo_default"}}


def test_short_and_long_form(given):
    rest = "networks: {n: , m: {name: real}}"
    assert given("networks: [n, m]", rest).printed["networks"] == {"n": None, "m": None}
    text = (
        "networks: {n: {aliases: [x, x], ipv4_address: 10.0.0.2, ipv6_address: '::2', link_local_ips: [169.254.1.1],"
        " mac_address: '02:00:00:00:00:01', interface_name: eth9, priority: 5, gw_priority: '6', driver_opts: {a: 1}}}"
    )
    use = given(text, rest).service.networks["n"]
    assert (use.aliases, use.ipv4_address, use.ipv6_address) == (("x",), "10.0.0.2", "::2")
    assert (use.link_local_ips, use.mac_address, use.interface_name) == (
        ("169.254.1.1",),
        "02:00:00:00:00:01",
        "eth9",
    )
    assert (use.priority, use.gw_priority, use.driver_opts) == (5, 6, {"a": "1"})


def test_networks_of_two_files(given):
    loaded = given(
        "networks: [n]", "networks: {n: , m: }", over="networks: {m: {aliases: [x]}, n: {priority: 1}}"
    )
    assert loaded.printed["networks"] == {"n": {"priority": 1}, "m": {"aliases": ["x"]}}


def test_ipam(given):
    rest = (
        "networks: {n: {driver: bridge, driver_opts: {mtu: 9000}, internal: true, attachable: true, enable_ipv6: true,"
        " enable_ipv4: false, labels: [a=b], ipam: {driver: default, options: {o: p}, config: [{subnet: 10.1.0.0/24,"
        " gateway: 10.1.0.1, ip_range: 10.1.0.0/25, aux_addresses: {x: 10.1.0.5}}]}}}"
    )
    network = given("networks: [n]", rest).project.networks["n"]
    assert network.ipam == Ipam(
        "default", (Pool("10.1.0.0/24", "10.1.0.0/25", "10.1.0.1", {"x": "10.1.0.5"}),), {"o": "p"}
    )
    assert (network.internal, network.attachable, network.enable_ipv4, network.enable_ipv6) == (
        True,
        True,
        False,
        True,
    )
    assert (network.driver_opts, network.labels) == ({"mtu": "9000"}, {"a": "b"})


def test_names(given):
    rest = "networks: {n: {name: real}, m: {external: true}}"
    networks = given("networks: [n, m]", rest).project.networks
    assert (networks["n"].name, networks["m"].name, networks["m"].external) == ("real", "m", True)


@pytest.mark.parametrize("mode", ["host", "none", "bridge", "container:x"])
def test_network_mode_leaves_out_networks(given, mode):
    loaded = given(f"network_mode: {mode}")
    assert "networks" not in loaded.printed
    assert "networks" not in loaded.tree


def test_network_of_another_service(given):
    assert "b" in given("network_mode: service:b", "  b: {image: i}").service.depends_on


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: [nope]", "services.a.networks.nope: the network 'nope' is not defined"),
        ("network_mode: host\nnetworks: [default]", "exclude each other"),
        ("network_mode: service:nope", "depends on 'nope', which is not defined"),
        ("networks: [n, n]", "the list names 'n' twice"),
        ("networks: {n: {alias: [x]}}", "services.a.networks.n.alias: unknown key 'alias'"),
    ],
)
def test_bad_networks(refused, text, message):
    assert message in refused(text, "networks: {n: }")
