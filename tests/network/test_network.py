"""Bridges, endpoints and the firewall against the kernel: who reaches whom, and that nothing is left."""

import json
import os
import re
import socket
import threading
import time

import pytest
from conftest import TABLE, Host, run

from runtime.errors import NotFoundError
from runtime.linux.nfnetlink import Nfnetlink, Transaction
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network import links, plan
from runtime.network.firewall import rules
from runtime.network.firewall.rules import NetworkRules, PublishedPort
from runtime.network.ipam import Subnet, parse_subnet
from runtime.network.record import NetworkRecord, Pool

QUICK = 0.4  # seconds after which an unanswered connection counts as dropped


def prefix(network: NetworkRecord) -> list[Subnet]:
    return [parse_subnet(pool.subnet) for pool in network.pools]


def test_containers_of_one_network_and_the_way_out(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    one, (one_ip,), _ = host.container(network)
    two, (two_ip,), _ = host.container(network)
    servers = [space.listen(80) for space in (one, two, outside)]
    assert two.connects(one_ip, 80) and one.connects(two_ip, 80)
    assert host.connects(one_ip, 80)
    assert one.connects("198.51.100.2", 80)
    server = servers[2]
    _, peer = server.accept()
    assert peer[0] == "198.51.100.1"  # masqueraded
    with one.inside():
        listed = json.loads(run("ip", "-j", "addr", "show", "eth0"))[0]
        assert (listed["mtu"], listed["ifindex"]) == (1400, 2)
        assert [a["local"] for a in listed["addr_info"]] == [one_ip]  # no IPv6 link-local either
        assert (
            json.loads(run("ip", "-j", "route", "show", "default"))[0]["gateway"] == network.pools[0].gateway
        )


@pytest.mark.parametrize("bridge_netfilter", ["0", "1"])
def test_published_ports(host: Host, bridge_netfilter: str) -> None:
    """With and without br_netfilter, which dockerd loads: it sends bridged packets through IP's hooks."""
    if os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables"):
        with open("/proc/sys/net/bridge/bridge-nf-call-iptables", "w") as file:
            file.write(bridge_netfilter)
    outside = host.outside()
    network, other = host.network("a", "172.18.0.0/20"), host.network("b", "172.18.16.0/20")
    web, (web_ip,), published = host.container(network)
    neighbour, _, _ = host.container(network)
    stranger, _, _ = host.container(other)
    server = web.listen(80)
    published.publish(
        [PublishedPort("", 8080, "tcp", web_ip, 80), PublishedPort("127.0.0.1", 8081, "tcp", web_ip, 80)]
    )
    for address in ("127.0.0.1", "127.3.3.3", "198.51.100.1", network.pools[0].gateway):
        assert host.connects(address, 8080), address
    assert host.connects("127.0.0.1", 8081) and not host.connects("198.51.100.1", 8081)
    assert outside.connects("198.51.100.1", 8080) and not outside.connects("198.51.100.1", 8081)
    for space in (web, neighbour, stranger):  # hairpin, neighbour, another network: by the host's address
        assert space.connects("198.51.100.1", 8080)
        assert space.connects(network.pools[0].gateway, 8080)
        assert not space.connects(network.pools[0].gateway, 8081)
    server.close()
    published.unpublish([PublishedPort("", 8080, "tcp", web_ip, 80)])
    assert not host.connects("127.0.0.1", 8080)
    assert [p.host_port for p in published.firewall.published()] == [8081]


def test_the_outside_client_keeps_its_address(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    web, (web_ip,), published = host.container(network)
    server = web.listen(80)
    published.publish([PublishedPort("198.51.100.1", 8080, "tcp", web_ip, 80)])
    assert outside.connects("198.51.100.1", 8080)
    assert server.accept()[1][0] == "198.51.100.2"
    assert host.connects("198.51.100.1", 8080)
    assert not host.connects("127.0.0.1", 8080)


def test_published_udp(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    server, (ip,), published = host.container(network)
    published.publish([PublishedPort("", 5353, "udp", ip, 53)])
    inside = server.udp(53)
    for space, address in ((outside, "198.51.100.1"), (host, "127.0.0.1"), (host, "198.51.100.1")):
        client = space.udp()
        client.sendto(b"question", (address, 5353))
        data, peer = inside.recvfrom(100)
        inside.sendto(data.upper(), peer)
        assert client.recvfrom(100) == (b"QUESTION", (address, 5353))


def test_published_sctp(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    container, (ip,), published = host.container(network)
    try:
        with container.inside():
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    except OSError:
        pytest.skip("this kernel has no SCTP")
    server.bind(("", 9))
    server.listen()
    published.publish([PublishedPort("", 9000, "sctp", ip, 9)])
    with outside.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    client.settimeout(3)
    client.connect(("198.51.100.1", 9000))
    assert server.accept()[1][0] == "198.51.100.2"


def test_isolated_ports_of_a_bridge(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    one, (one_ip,), published = host.container(network, isolated=True)
    two, _, _ = host.container(network, isolated=True)
    keep = [one.listen(80), outside.listen(80)]
    assert not two.connects(one_ip, 80, QUICK)
    assert host.connects(one_ip, 80) and two.connects("198.51.100.2", 80)
    published.publish([PublishedPort("", 8080, "tcp", one_ip, 80)])
    assert outside.connects("198.51.100.1", 8080)
    assert len(keep) == 2


def test_packets_leave_with_their_own_address(host: Host) -> None:
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20", options={plan.OPTION_MASQUERADE: "false"})
    container, (ip,), _ = host.container(network)
    server = outside.listen(80)
    assert container.connects("198.51.100.2", 80)
    assert server.accept()[1][0] == ip


def test_networks_are_isolated(host: Host) -> None:
    outside = host.outside()
    first, second = host.network("a", "172.18.0.0/20"), host.network("b", "172.18.16.0/20")
    one, (one_ip,), published = host.container(first)
    two, (two_ip,), _ = host.container(second)
    both, _, _ = host.container(first, second)
    for space in (one, two):
        space.listen(80)
    keep = [one.listen(81), two.listen(81)]
    assert both.connects(one_ip, 81) and both.connects(two_ip, 81)
    assert not two.connects(one_ip, 81, QUICK)
    assert not one.connects(two_ip, 81, QUICK)
    assert not one.connects(second.pools[0].gateway, 81, QUICK)
    assert not outside.connects(one_ip, 81, QUICK)  # routed past the published ports
    published.publish([PublishedPort("", 8080, "tcp", one_ip, 81)])
    assert not outside.connects(one_ip, 81, QUICK)
    assert two.connects(first.pools[0].gateway, 8080)
    assert len(keep) == 2


def test_loopback_is_out_of_reach_from_links(host: Host) -> None:
    """route_localnet is on for bridges: without the raw chain 127.0.0.1 would be open to neighbours."""
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    container, (ip,), published = host.container(network)
    keep = [host.listen(9000, "127.0.0.1"), container.listen(80)]
    published.publish([PublishedPort("127.0.0.1", 8080, "tcp", ip, 80)])
    for space, gateway in ((outside, "198.51.100.1"), (container, network.pools[0].gateway)):
        with space.inside():
            run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
            run("ip", "route", "add", "127.0.0.0/8", "via", gateway)
            with open("/proc/sys/net/ipv4/conf/all/route_localnet", "w") as file:
                file.write("1")
        for port in (9000, 8080):
            assert not space.connects("127.0.0.1", port, QUICK)
    assert len(keep) == 2 and host.connects("127.0.0.1", 8080)


def test_internal_network(host: Host) -> None:
    outside = host.outside()
    inner, outer = host.network("in", "172.18.0.0/20", internal=True), host.network("out", "172.18.16.0/20")
    one, (one_ip,), published = host.container(inner)
    two, _, _ = host.container(inner)
    three, (three_ip,), other = host.container(outer)
    keep = [one.listen(80), three.listen(80), outside.listen(80)]
    assert two.connects(one_ip, 80)
    with one.inside():
        assert run("ip", "route", "show", "default") == ""
        run(
            "ip", "route", "add", "default", "via", inner.pools[0].gateway
        )  # even with a route of its own making
    assert not one.connects("198.51.100.2", 80, QUICK)
    published.publish([PublishedPort("", 8080, "tcp", one_ip, 80)])
    other.publish([PublishedPort("", 8081, "tcp", three_ip, 80)])
    assert not outside.connects("198.51.100.1", 8080, QUICK)
    assert not one.connects(inner.pools[0].gateway, 8081, QUICK)
    assert host.connects("127.0.0.1", 8080)
    assert len(keep) == 3


def test_nft_lists_what_was_meant(host: Host) -> None:
    network = host.network("a", "172.18.0.0/20")
    host.firewall().publish(
        [
            PublishedPort("", 8080, "tcp", "172.18.0.2", 80),
            PublishedPort("192.0.2.1", 53, "udp", "172.18.0.3", 5353),
        ]
    )
    listed = run("nft", "list", "table", "ip", TABLE)
    for line in (
        f'comment "{rules.VERSION}"',
        "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
        "192.0.2.1 . udp . 53 : 172.18.0.3 . 5353",
        "type inet_proto . inet_service : ipv4_addr . inet_service",
        "tcp . 8080 : 172.18.0.2 . 80",
        '"br-a" . "br-a"',
        'elements = { "br-a" }',
        "type filter hook prerouting priority raw; policy accept;",
        'iifname != "lo" ip daddr 127.0.0.0/8 drop',
        "type nat hook prerouting priority dstnat; policy accept;",
        "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published",
        "fib daddr type local dnat ip to meta l4proto . th dport map @published_any",
        "type nat hook postrouting priority srcnat; policy accept;",
        "ip saddr 127.0.0.0/8 oifname @bridges masquerade",
        "iifname . oifname @pairs ct status dnat masquerade",
        'oifname @bridges iifname "" fib saddr type != local ct status dnat masquerade',
        "iifname @bridges iifname != @unmasked iifname . oifname != @pairs masquerade",
        "type filter hook forward priority filter; policy accept;",
        "iifname . oifname @pairs accept",
        "iifname @internal drop",
        "oifname @internal drop",
        "oifname @bridges ct state established,related accept",
        "oifname @bridges ct status dnat accept",
        "oifname @bridges drop",
    ):
        assert line in listed, f"{line!r} is not in\n{listed}"
    # nft 1.1 has a name for this priority in the output hook, too.
    assert re.search(r"type nat hook output priority (-100|dstnat); policy accept;", listed), listed
    assert network.bridge in listed


def test_removing_networks_takes_everything(host: Host) -> None:
    first, second = host.network("a", "172.18.0.0/20"), host.network("b", "172.18.16.0/20", internal=True)
    firewall = host.firewall()
    firewall.ensure_network(NetworkRules(first.bridge, internal=False))  # idempotent
    stale = (
        PublishedPort("", 80, "tcp", "172.18.0.2", 80),
        PublishedPort("127.0.0.1", 80, "udp", "172.18.16.2", 8),
    )
    firewall.publish(stale)
    firewall.remove_network(first.bridge, prefix(first))
    assert firewall.published() == [stale[1]]
    assert "br-a" not in run("nft", "list", "ruleset") and "br-b" in run("nft", "list", "ruleset")
    firewall.remove_network(second.bridge, prefix(second))
    firewall.remove_network(second.bridge, prefix(second))
    assert run("nft", "list", "ruleset") == ""
    with Rtnetlink() as rtnetlink:
        for network in (first, second, second):
            links.delete_bridge(rtnetlink, network.bridge)
        assert [link.name for link in rtnetlink.links() if link.name.startswith(("br-", "pv"))] == []


def test_a_bridge_goes_with_the_links_of_dying_and_of_living_namespaces(host: Host) -> None:
    network = host.network("a", "172.18.0.0/20")
    made = [host.container(network) for _ in range(4)]
    for space, _, _ in made[1:]:
        host.spaces.remove(space)
        os.close(space.fd)
    with Rtnetlink() as rtnetlink:
        links.delete_bridge(rtnetlink, network.bridge)
        assert [link.name for link in rtnetlink.links() if link.name.startswith(("br-", "pv"))] == []


def test_a_stale_link_of_the_same_name_is_replaced(host: Host) -> None:
    network = host.network("a", "172.18.0.0/20")
    _, (ip,), _ = host.container(network)
    host.count -= 1
    again, (same,), _ = host.container(network)
    assert ip == same
    keep = again.listen(80)
    assert host.connects(ip, 80)
    keep.close()
    with Rtnetlink() as rtnetlink:
        assert links.delete_stale_links(rtnetlink, "pvt", frozenset({"pvt9"})) == ["pvt1i0"]


def test_missing_bridge_and_table(host: Host) -> None:
    network = NetworkRecord("ab", "gone", pools=(Pool("172.18.0.0/20", "172.18.0.1"),), bridge="br-gone")
    with pytest.raises(NotFoundError, match="br-gone of network gone"):
        host.container(network)
    _, _, container = host.container()
    with pytest.raises(NotFoundError, match=TABLE):
        container.publish([PublishedPort("", 80, "tcp", "172.18.0.2", 80)])


def test_a_stale_port_entry_is_replaced_and_a_foreign_one_left(host: Host) -> None:
    host.network("a", "172.18.0.0/20")
    firewall = host.firewall()
    old, new = (PublishedPort("", 80, "tcp", f"172.18.0.{n}", 80) for n in (2, 3))
    more = PublishedPort("", 81, "tcp", "172.18.0.3", 80)
    firewall.publish([old])
    firewall.publish([new, more])
    firewall.publish([new])
    assert firewall.published() == [new, more] or firewall.published() == [more, new]
    firewall.unpublish([old, more])
    assert firewall.published() == [new]


def test_an_older_table_is_renewed_with_its_elements(host: Host) -> None:
    network = host.network("a", "172.18.0.0/20")
    firewall = host.firewall()
    port = PublishedPort("", 80, "tcp", "172.18.0.2", 80)
    firewall.publish([port])
    before = run("nft", "list", "table", "ip", TABLE)
    with Nfnetlink() as netlink:
        transaction = Transaction()
        transaction.delete_table(TABLE)
        transaction.add_table(TABLE, "pycompose network 0")
        for name, (key, data) in rules.sets(ipv6=False).items():
            transaction.add_set(TABLE, name, key, data)
        transaction.add_elements(TABLE, rules.PUBLISHED_ANY, [rules.port_element(port)[1:]])
        netlink.commit(transaction)
    firewall.ensure_network(NetworkRules(network.bridge, internal=False))
    assert run("nft", "list", "table", "ip", TABLE) == before


def test_networks_come_and_go_at_once(host: Host) -> None:
    """Several processes change one table: all end well, and the last one takes the table along."""
    failures: list[BaseException] = []

    def churn(number: int) -> None:
        try:
            firewall = host_firewalls[number]
            for _ in range(10):
                firewall.ensure_network(NetworkRules(f"br-{number}", internal=number % 2 == 0))
                firewall.publish([PublishedPort("", 1000 + number, "tcp", f"10.{number}.0.2", 80)])
                firewall.remove_network(f"br-{number}", [parse_subnet(f"10.{number}.0.0/16")])
        except BaseException as error:
            failures.append(error)

    host_firewalls = [host.firewall() for _ in range(4)]
    threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert run("nft", "list", "ruleset") == ""


def test_taken_prefixes(host: Host) -> None:
    host.network("a", "172.18.0.0/20")
    with Rtnetlink() as rtnetlink:
        owners = {str(s): owner for s, owner in links.owners_of_prefixes(rtnetlink)}
        assert "127.0.0.0/8" in owners
        assert owners["172.18.0.0/20"] == "the host's interface br-a"


def test_attach_is_fast(host: Host) -> None:
    network = host.network("a", "172.18.0.0/20")
    begin = time.perf_counter()
    for _ in range(5):
        host.container(network)
    assert (time.perf_counter() - begin) / 5 < 0.5


def test_attach_without_networks_brings_loopback_up(host: Host) -> None:
    space, _, _ = host.container()
    with space.inside():
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.close()
        assert "UP" in run("ip", "link", "show", "lo")


def test_a_busy_udp_client_reaches_the_next_container(host: Host) -> None:
    """NAT is decided once per flow, and a client that never pauses never starts a new one."""
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    client = outside.udp()
    for _ in range(3):  # before anything is published
        client.sendto(b"?", ("198.51.100.1", 5353))
    for _ in range(2):
        server, (ip,), published = host.container(network)
        inside = server.udp(53)
        port = PublishedPort("", 5353, "udp", ip, 53)
        published.publish([port])
        client.sendto(b"?", ("198.51.100.1", 5353))
        _, peer = inside.recvfrom(10)
        inside.sendto(b"!", peer)
        published.unpublish([port])
