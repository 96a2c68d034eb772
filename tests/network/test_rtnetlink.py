"""Every rtnetlink message of ours, decoded by pyroute2; and the same against the kernel."""

import errno
import json
import os
import struct

import pytest
from conftest import Host, packed, run
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from runtime.linux import netlink, rtnetlink
from runtime.linux.link_monitor import LinkMonitor
from runtime.linux.rtnetlink import Rtnetlink


def decode(kind: type, body: bytes) -> object:
    message = kind(struct.pack("=IHHII", 16 + len(body), 16, 0, 1, 0) + body)
    message.decode()
    return message


def test_bridge_message() -> None:
    message = decode(ifinfmsg, rtnetlink.encode_bridge("br-x", "02:42:0a:00:00:01", 1400))
    assert message.get_attr("IFLA_IFNAME") == "br-x"
    assert message.get_attr("IFLA_ADDRESS") == "02:42:0a:00:00:01"
    assert message.get_attr("IFLA_MTU") == 1400
    assert message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "bridge"
    assert message["flags"] == 1 and message["change"] == 1


def test_veth_message() -> None:
    body = rtnetlink.encode_veth(
        "pv0", peer="eth0", peer_index=2, peer_mac="02:42:0a:00:00:02", namespace=7, master=5, mtu=1400
    )
    message = decode(ifinfmsg, body)
    assert message.get_attr("IFLA_IFNAME") == "pv0"
    assert message.get_attr("IFLA_MASTER") == 5
    assert message["flags"] == 1
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert peer["index"] == 2 and peer["flags"] == 0
    assert peer.get_attr("IFLA_IFNAME") == "eth0"
    assert peer.get_attr("IFLA_ADDRESS") == "02:42:0a:00:00:02"
    assert peer.get_attr("IFLA_MTU") == 1400
    assert peer.get_attr("IFLA_NET_NS_FD") == 7


def test_sub_link_message() -> None:
    body = rtnetlink.encode_sub_link(
        "pm7", kind="macvlan", mode="vepa", parent=9, namespace=3, mac="02:42:0a:00:00:02", mtu=1400
    )
    message = decode(ifinfmsg, body)
    assert message["index"] == 0 and message["flags"] == 0
    names = ("IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_LINK", "IFLA_NET_NS_FD")
    assert [message.get_attr(name) for name in names] == ["pm7", "02:42:0a:00:00:02", 1400, 9, 3]
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "macvlan"
    assert info.get_attr("IFLA_INFO_DATA").get_attr("IFLA_MACVLAN_MODE") == "vepa"


def test_hairpin_message() -> None:
    message = decode(ifinfmsg, rtnetlink.encode_port_flag("pv0", rtnetlink.BRIDGE_PORT_HAIRPIN))
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_SLAVE_KIND") == "bridge"
    assert info.get_attr("IFLA_INFO_SLAVE_DATA").get_attr("IFLA_BRPORT_MODE") == 1


def test_address_message() -> None:
    message = decode(ifaddrmsg, rtnetlink.encode_address(3, "172.18.0.5", 20))
    assert (message["family"], message["prefixlen"], message["index"]) == (2, 20, 3)
    assert message.get_attr("IFA_LOCAL") == message.get_attr("IFA_ADDRESS") == "172.18.0.5"
    assert message.get_attr("IFA_BROADCAST") == "172.18.15.255"


@pytest.mark.parametrize(
    ("destination", "length", "gateway", "scope"), [("", 0, "172.18.0.1", 0), ("10.1.0.0", 16, "", 253)]
)
def test_route_message(destination: str, length: int, gateway: str, scope: int) -> None:
    body = rtnetlink.encode_route(destination, length, gateway=gateway, link=2, metric=7)
    message = decode(rtmsg, body)
    assert (message["dst_len"], message["table"], message["scope"], message["type"]) == (
        length,
        254,
        scope,
        1,
    )
    assert message.get_attr("RTA_DST") == (destination or None)
    assert message.get_attr("RTA_GATEWAY") == (gateway or None)
    assert message.get_attr("RTA_OIF") == 2
    assert message.get_attr("RTA_PRIORITY") == 7


def test_links_and_dumps(host: Host) -> None:
    space = host.new_space()
    with Rtnetlink() as socket:
        socket.add_bridge("br-t", mac="02:42:ac:12:00:01", mtu=1400)
        socket.flush()
        bridge = socket.link("br-t")
        assert bridge is not None and bridge.up and bridge.mac == "02:42:ac:12:00:01"
        socket.add_veth(
            "pv-t",
            peer="eth0",
            peer_index=2,
            peer_mac="02:42:ac:12:00:02",
            namespace=space.fd,
            master=bridge.number,
            mtu=1400,
        )
        socket.add_address(bridge.number, "172.18.0.1", 20)
        socket.add_route("10.9.0.0", 16, gateway="172.18.0.9")
        socket.flush()
        veth = socket.link("pv-t")
        assert veth is not None and veth.master == bridge.number and veth.mtu == 1400
        assert socket.link("nothing") is None
        assert {link.name for link in socket.links()} >= {"lo", "br-t", "pv-t"}
        prefixes = {(p.network, p.length) for p in socket.addresses()}
        assert (packed("172.18.0.0"), 20) in prefixes and (packed("127.0.0.0"), 8) in prefixes
        assert (packed("10.9.0.0"), 16) in {(p.network, p.length) for p in socket.routes()}
        socket.set_mtu("pv-t", 1300)
        socket.set_master("pv-t", 0)
        socket.flush()
        veth = socket.link("pv-t")
        assert veth is not None and (veth.mtu, veth.master) == (1300, 0)
    with space.inside():
        peer = json.loads(run("ip", "-j", "link", "show", "eth0"))[0]
        assert (peer["ifindex"], peer["address"], peer["mtu"]) == (2, "02:42:ac:12:00:02", 1400)


def test_uplink_mtu(host: Host) -> None:
    with Rtnetlink() as socket:
        assert socket.uplink_mtu() == 1500
        socket.add_bridge("up0", mtu=1400)
        socket.flush()
        link = socket.link("up0")
        assert link is not None
        socket.add_address(link.number, "198.51.100.1", 24)
        socket.add_route("", 0, gateway="198.51.100.2")
        socket.flush()
        assert socket.uplink_mtu() == 1400
        run("ip", "route", "replace", "default", "via", "198.51.100.2", "mtu", "1280")
        assert socket.uplink_mtu() == 1280


def test_errors_name_the_message_and_the_others_are_done(host: Host) -> None:
    with Rtnetlink() as socket:
        socket.add_bridge("br-t")
        socket.add_bridge("br-t")
        socket.add_route("", 0, gateway="203.0.113.1")
        socket.add_bridge("br-u")
        with pytest.raises(netlink.NetlinkError) as caught:
            socket.flush()
        assert [number for _, number, _ in caught.value.failed] == [errno.EEXIST, errno.ENETUNREACH]
        assert "create bridge br-t" in str(caught.value)
        assert "gateway" in caught.value.failed[1][2]  # the kernel's own words
        assert socket.link("br-u") is not None
        with pytest.raises(netlink.NetlinkError, match="delete link gone"):
            socket.delete_link("gone")
            socket.flush()


def test_monitor_sees_links_go(host: Host) -> None:
    monitor = LinkMonitor()
    with Rtnetlink() as socket:
        socket.add_bridge("br-t")
        socket.add_bridge("br-u")
        socket.flush()
        one, two = socket.link("br-t"), socket.link("br-u")
        assert one is not None and two is not None
        socket.delete_link("br-t")
        socket.flush()
    assert monitor.await_removal({one.number}, 5) == set()
    assert monitor.await_removal({two.number}, 0.05) == {two.number}
    monitor.close()


def test_malformed_attributes_are_not_followed() -> None:
    assert netlink.decode_attributes(b"\x02\0\x01\0", 0, 4) == {}
    assert netlink.decode_attributes(b"\xff\0\x01\0abcd", 0, 8) == {}
    assert list(netlink.split_messages(os.urandom(12))) == []
