"""How networks meet the outside other than by translated ports: who reaches which port by a container's own address."""

import socket

import pytest
from conftest import TABLE, Host, Space, run

from runtime.errors import InvalidError
from runtime.network import plan
from runtime.network.firewall.rules import PublishedPort
from runtime.network.plan import HostFacts, NetworkRequest, plan_network
from runtime.network.record import Pool

FAMILIES = {"172.18.0.0/20": "198.51.100", "fd00:18::/64": "2001:db8:"}
QUICK = 0.4  # seconds after which an unanswered connection counts as dropped


def open_port(host: Host, subnet: str, **options: str) -> tuple[Space, str, Space]:
    """A container that listens on 80 and 81, of which 80 is published without a host port, and a stranger to it."""
    network = host.network("a", subnet, options=options)
    other = host.network("b", "172.18.16.0/20", "fd00:19::/64")
    web, (address,), published = host.container(network)
    stranger, _, _ = host.container(other)
    published.publish([PublishedPort("", 0, "tcp", address, 80)])
    return web, address, stranger


@pytest.mark.parametrize("subnet", FAMILIES)
def test_a_routed_network(host: Host, subnet: str) -> None:
    outside = host.outside()
    modes = dict.fromkeys(plan.OPTION_GATEWAY_MODES, plan.ROUTED)
    web, address, stranger = open_port(host, subnet, **modes)
    servers = [web.listen(port, "::") for port in (80, 81)]
    for space in (outside, stranger, host):
        assert space.connects(address, 80)
    assert not outside.connects(address, 81, QUICK) and not stranger.connects(address, 81, QUICK)
    with outside.inside():
        assert " 0% packet loss" in run("busybox", "ping", "-c1", "-W2", address)
    # Its packets leave with their own address.
    far = "2001:db8::2" if ":" in address else "198.51.100.2"
    server = outside.listen(80, far)
    assert web.connects(far, 80)
    assert server.accept()[1][0] == address
    for item in servers:
        item.close()


@pytest.mark.parametrize("subnet", FAMILIES)
def test_an_unprotected_network(host: Host, subnet: str) -> None:
    outside = host.outside()
    modes = dict.fromkeys(plan.OPTION_GATEWAY_MODES, plan.UNPROTECTED)
    web, address, stranger = open_port(host, subnet, **modes)
    servers = [web.listen(port, "::") for port in (80, 81)]
    assert outside.connects(address, 80) and outside.connects(address, 81)
    assert not stranger.connects(address, 80, QUICK)
    far = "2001:db8::2" if ":" in address else "198.51.100.2"
    server = outside.listen(80, far)
    assert web.connects(far, 80)
    assert server.accept()[1][0] != address
    for item in servers:
        item.close()


@pytest.mark.parametrize("subnet", FAMILIES)
def test_trusted_interfaces(host: Host, subnet: str) -> None:
    outside = host.outside()
    web, address, stranger = open_port(host, subnet, **{plan.OPTION_TRUSTED: "wan0:uplink"})
    servers: list[socket.socket] = [web.listen(port, "::") for port in (80, 81)]
    assert outside.connects(address, 80)
    assert not outside.connects(address, 81, QUICK) and not stranger.connects(address, 80, QUICK)
    family, firewall = ("ip6", host.firewall6()) if ":" in address else ("ip", host.firewall())
    assert "uplink" in run("nft", "list", "table", family, TABLE)
    firewall.remove_network("br-a", [])
    assert "uplink" not in run("nft", "list", "table", family, TABLE)
    for item in servers:
        item.close()


def test_an_isolated_network(host: Host) -> None:
    options = dict.fromkeys(plan.OPTION_GATEWAY_MODES, plan.ISOLATED)
    facts = HostFacts([], [], 1500)
    pools = (Pool("172.18.0.0/20"), Pool("fd00:18::/64", "fd00:18::9"))
    request = NetworkRequest("a", ipv6=True, pools=pools, options=options)
    with pytest.raises(InvalidError, match="only an internal network can be isolated"):
        plan_network(request, "ab" * 32, facts, link="br-a")
    record = plan_network(request._replace(internal=True), "ab" * 32, facts, link="br-a")
    assert [pool.gateway for pool in record.pools] == ["", "fd00:18::9"]
    host.network("a", internal=True, pools=record.pools, options=options)
    assert "inet" not in run("ip", "addr", "show", "br-a").replace("inet6 fe80", "")


def test_modes_that_are_none() -> None:
    for option, value in (
        (plan.OPTION_GATEWAY_MODES[1], "open"),
        (plan.OPTION_TRUSTED, "an-interface-with-a-long-name"),
    ):
        with pytest.raises(InvalidError):
            plan_network(
                NetworkRequest("a", options={option: value}), "ab" * 32, HostFacts([], [], 1500), link="b"
            )
