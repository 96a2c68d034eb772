"""A small rtnetlink encoder and socket for the start path: links, addresses, routes (rtnetlink(7)).

What belongs here: the few fixed messages that starting and removing containers sends, and the two dumps
a subnet is chosen from. Everything else about links (inspection, traffic control) is pyroute2's, whose
import alone would cost more than starting ten containers. Messages are queued and leave in one send; each is
acknowledged.

A socket keeps the network namespace it was opened in: `Rtnetlink()` made before unshare(2) goes on
working on the host. All addresses are plain integers in host order or text, as each function says; the
family is the text's own.
"""

import errno
import socket
import struct
from typing import NamedTuple

from runtime.linux.netlink import (
    ACK,
    CREATE,
    DUMP,
    DUMP_INTERRUPTED,
    EXCL,
    GET_STRICT_CHECK,
    HEADER,
    NLMSG_DONE,
    NLMSG_ERROR,
    REQUEST,
    SOL_NETLINK,
    NetlinkError,
    decode_attributes,
    decode_error,
    encode_attribute,
    open_socket,
    split_messages,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 4, 5
BRIDGE_PORT_HAIRPIN, BRIDGE_PORT_ISOLATED = 4, 33  # IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFA_F_NODAD = 0x02
_IPVLAN, _MACVLAN = "ipvlan", "macvlan"
# if_link.h: MACVLAN_MODE_*, IPVLAN_MODE_*
SUB_LINK_MODES = {
    _MACVLAN: {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    _IPVLAN: {"l2": 0, "l3": 1, "l3s": 2},
}
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_METRICS, _RTAX_MTU = 1, 4, 5, 6, 8, 2
_IFF_UP = 1
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTN_UNICAST = 254, 4, 0, 253, 1
_RT_SCOPE_NOWHERE = 255

_U32 = struct.Struct("=I")
_LINK = struct.Struct("=BxHiII")
_ADDR = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")


class Link(NamedTuple):
    """One network interface; `master` is the index of the bridge it is in, or 0."""

    number: int
    name: str
    mtu: int
    master: int
    up: bool
    mac: str = ""


class Prefix(NamedTuple):
    """A prefix in use; `network` in host order, `link` the interface's number (0 = none), `bits` 32 or 128."""

    network: int
    length: int
    link: int
    bits: int = 32


def encode_link(name: str = "", index: int = 0, *, up: bool = False) -> bytes:
    """struct ifinfomsg and the name; `up` sets the interface's up flag."""
    flag = _IFF_UP if up else 0
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, flag, flag)
    return body + (encode_attribute(_IFLA_IFNAME, name.encode() + b"\0") if name else b"")


def encode_bridge(name: str, mac: str = "", mtu: int = 0) -> bytes:
    """A bridge, up. A fixed MAC keeps the bridge's address from changing with every port."""
    info = encode_attribute(_IFLA_INFO_KIND, b"bridge")
    return encode_link(name, up=True) + _address_and_mtu(mac, mtu) + encode_attribute(_IFLA_LINKINFO, info)


def encode_veth(
    name: str, *, peer: str, peer_index: int, peer_mac: str, namespace: int, master: int, mtu: int
) -> bytes:
    """A veth pair: `name` up here in bridge `master` (0 = none), `peer` down in the namespace of that
    descriptor.

    The peer can't be created up (ENOTCONN): its other end does not exist yet at that moment (veth(4)).
    """
    inner = encode_link(peer, peer_index) + _address_and_mtu(peer_mac, mtu)
    inner += encode_attribute(_IFLA_NET_NS_FD, _U32.pack(namespace))
    info = encode_attribute(_IFLA_INFO_KIND, b"veth")
    info += encode_attribute(_IFLA_INFO_DATA, encode_attribute(_VETH_INFO_PEER, inner))
    body = encode_link(name, up=True) + _address_and_mtu("", mtu)
    if master:
        body += encode_attribute(_IFLA_MASTER, _U32.pack(master))
    return body + encode_attribute(_IFLA_LINKINFO, info)


def encode_port_flag(name: str, flag: int) -> bytes:
    """Sets one flag of a bridge's port, one of BRIDGE_PORT_*."""
    data = encode_attribute(flag, b"\1")
    info = encode_attribute(_IFLA_INFO_SLAVE_KIND, b"bridge")
    info += encode_attribute(_IFLA_INFO_SLAVE_DATA, data)
    return encode_link(name) + encode_attribute(_IFLA_LINKINFO, info)


def encode_sub_link(
    name: str, *, kind: str, mode: str, parent: int, namespace: int, mac: str, mtu: int
) -> bytes:
    """A macvlan or ipvlan link of the interface with index `parent`, born down in the namespace of that descriptor."""
    number = SUB_LINK_MODES[kind][mode]
    packed = _U32.pack(number) if kind == _MACVLAN else struct.pack("=H", number)
    info = encode_attribute(_IFLA_INFO_KIND, kind.encode())
    info += encode_attribute(_IFLA_INFO_DATA, encode_attribute(1, packed))
    body = encode_link(name) + _address_and_mtu(mac if kind == _MACVLAN else "", mtu)
    body += encode_attribute(_IFLA_LINK, _U32.pack(parent))
    body += encode_attribute(_IFLA_NET_NS_FD, _U32.pack(namespace))
    return body + encode_attribute(_IFLA_LINKINFO, info)


def encode_address(index: int, address: str, length: int) -> bytes:
    """An address of a link: IPv4 with its broadcast address, IPv6 without asking the neighbours first (we gave it)."""
    family, packed = _pack(address)
    flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _ADDR.pack(family, length, flags, 0, index)
    body += encode_attribute(_IFA_LOCAL, packed) + encode_attribute(_IFA_ADDRESS, packed)
    if family == socket.AF_INET and length < 31:
        number = struct.unpack("!I", packed)[0] | ((1 << (32 - length)) - 1)
        body += encode_attribute(_IFA_BROADCAST, struct.pack("!I", number))
    return body


def encode_route(
    destination: str, length: int, *, gateway: str = "", link: int = 0, metric: int = 0, ipv6: bool = False
) -> bytes:
    """A route of the main table; length 0 = the default route, no gateway = directly on the link.

    `ipv6` tells the family of a default route that has no gateway.
    """
    family = socket.AF_INET6 if ipv6 or ":" in destination + gateway else socket.AF_INET
    # IPv6 knows no scopes of routes (rtnetlink(7)).
    scope = _RT_SCOPE_UNIVERSE if gateway or family == socket.AF_INET6 else _RT_SCOPE_LINK
    body = _ROUTE.pack(family, length, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0)
    if length:
        body += encode_attribute(_RTA_DST, _pack(destination)[1])
    if gateway:
        body += encode_attribute(_RTA_GATEWAY, _pack(gateway)[1])
    if link:
        body += encode_attribute(_RTA_OIF, _U32.pack(link))
    if metric:
        body += encode_attribute(_RTA_PRIORITY, _U32.pack(metric))
    return body


def _pack(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _address_and_mtu(mac: str, mtu: int) -> bytes:
    out = encode_attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""
    return out + (encode_attribute(_IFLA_MTU, _U32.pack(mtu)) if mtu else b"")


class Rtnetlink:
    """A batching rtnetlink socket.

    Requests queue up until `flush`, which raises NetlinkError for any that failed.
    """

    def __init__(self) -> None:
        self.socket = open_socket(socket.NETLINK_ROUTE)
        # Without strict checking the kernel ignores the filters of a dump and sends everything.
        self.socket.setsockopt(SOL_NETLINK, GET_STRICT_CHECK, 1)
        self._sequence = 0
        self._queue: list[bytes] = []
        self._asked: dict[int, str] = {}

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Rtnetlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def queue(self, kind: int, body: bytes, what: str, flags: int = 0) -> None:
        """Adds one request; `what` names it in an error."""
        self._sequence += 1
        header = HEADER.pack(16 + len(body), kind, REQUEST | ACK | flags, self._sequence, 0)
        self._queue.append(header + body + b"\0" * (-len(body) & 3))
        self._asked[self._sequence] = what

    def add_bridge(self, name: str, *, mac: str = "", mtu: int = 0) -> None:
        """Queues the creation of a bridge; flush fails with EEXIST if the name is taken."""
        self.queue(RTM_NEWLINK, encode_bridge(name, mac, mtu), f"create bridge {name}", CREATE | EXCL)

    def add_veth(
        self,
        name: str,
        *,
        peer: str,
        namespace: int,
        peer_index: int = 0,
        peer_mac: str = "",
        master: int = 0,
        mtu: int = 0,
    ) -> None:
        """Queues the creation of a veth pair whose peer is born in the namespace of descriptor
        `namespace`.
        """
        body = encode_veth(
            name,
            peer=peer,
            peer_index=peer_index,
            peer_mac=peer_mac,
            namespace=namespace,
            master=master,
            mtu=mtu,
        )
        self.queue(RTM_NEWLINK, body, f"create link {name} (peer {peer})", CREATE | EXCL)

    def add_sub_link(
        self, name: str, *, kind: str, mode: str, parent: int, namespace: int, mac: str = "", mtu: int = 0
    ) -> None:
        """Queues the creation of a "macvlan" or "ipvlan" link in the namespace of descriptor `namespace`.

        flush fails with EEXIST if this socket's namespace has a link of that name; the number is the kernel's choice.
        """
        body = encode_sub_link(
            name, kind=kind, mode=mode, parent=parent, namespace=namespace, mac=mac, mtu=mtu
        )
        self.queue(RTM_NEWLINK, body, f"create {kind} link {name}", CREATE | EXCL)

    def rename(self, index: int, name: str) -> None:
        """Queues giving a link, which has to be down, another name."""
        self.queue(RTM_NEWLINK, encode_link(name, index), f"rename link {index} to {name}")

    def set_up(self, *, index: int = 0, name: str = "") -> None:
        """Queues setting a link up."""
        self.queue(RTM_NEWLINK, encode_link(name, index, up=True), f"set link {name or index} up")

    def set_master(self, name: str, master: int) -> None:
        """Queues putting a link into the bridge with index `master` (0 = out of its bridge)."""
        body = encode_link(name) + encode_attribute(_IFLA_MASTER, _U32.pack(master))
        self.queue(RTM_NEWLINK, body, f"put link {name} into bridge {master}")

    def set_mtu(self, name: str, mtu: int) -> None:
        """Queues setting a link's mtu in bytes."""
        body = encode_link(name) + _address_and_mtu("", mtu)
        self.queue(RTM_NEWLINK, body, f"set mtu {mtu} of link {name}")

    def set_hairpin(self, name: str) -> None:
        """Queues letting a bridge's port have its own packets back."""
        body = encode_port_flag(name, BRIDGE_PORT_HAIRPIN)
        self.queue(RTM_NEWLINK, body, f"set hairpin mode of link {name}")

    def set_isolated(self, name: str) -> None:
        """Queues keeping a bridge's port from exchanging packets with other isolated ones."""
        body = encode_port_flag(name, BRIDGE_PORT_ISOLATED)
        self.queue(RTM_NEWLINK, body, f"isolate link {name}")

    def add_address(self, index: int, address: str, length: int) -> None:
        """Queues adding an address; flush fails with EEXIST if it is there."""
        what = f"add address {address}/{length} to link {index}"
        self.queue(RTM_NEWADDR, encode_address(index, address, length), what, CREATE | EXCL)

    def delete_address(self, index: int, address: str, length: int) -> None:
        """Queues taking an address away; flush fails with EADDRNOTAVAIL if it is not there."""
        what = f"delete address {address}/{length} of link {index}"
        self.queue(RTM_DELADDR, encode_address(index, address, length), what)

    def add_route(
        self,
        destination: str,
        length: int,
        *,
        gateway: str = "",
        link: int = 0,
        metric: int = 0,
        ipv6: bool = False,
    ) -> None:
        """Queues adding a route; ("", 0) is the default route."""
        body = encode_route(destination, length, gateway=gateway, link=link, metric=metric, ipv6=ipv6)
        what = f"add route {destination or 'default'}/{length} via {gateway or link}"
        self.queue(RTM_NEWROUTE, body, what, CREATE | EXCL)

    def delete_default_route(self, *, ipv6: bool = False) -> None:
        """Queues taking the default route away; flush fails with ESRCH if there is none."""
        body = encode_route("", 0, ipv6=ipv6)
        if not ipv6:
            # Any scope: RT_SCOPE_NOWHERE matches all (rtnetlink(7)).
            body = body[:6] + bytes([_RT_SCOPE_NOWHERE]) + body[7:]
        self.queue(RTM_DELROUTE, body, "delete the default route")

    def delete_link(self, name: str) -> None:
        """Queues deleting a link; flush fails with ENODEV if there is none."""
        self.queue(RTM_DELLINK, encode_link(name), f"delete link {name}")

    def flush(self) -> None:
        """Sends everything queued and waits for all answers. Raises NetlinkError, OSError, TimeoutError."""
        asked, self._asked = self._asked, {}
        queue, self._queue = self._queue, []
        if not queue:
            return
        self.socket.send(b"".join(queue))
        failed: list[tuple[str, int, str]] = []
        while asked:
            data = self.socket.recv(1 << 17)
            for kind, flags, sequence, start, end in split_messages(data):
                if kind == NLMSG_ERROR and sequence in asked:
                    number, text = decode_error(data, flags, start, end)
                    what = asked.pop(sequence)
                    if number:
                        failed.append((what, number, text))
        if failed:
            raise NetlinkError(failed)

    def link(self, name: str) -> Link | None:
        """The link of that name, or None."""
        try:
            data = self._ask(RTM_GETLINK, encode_link(name), f"look up link {name}")
        except NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return data

    def _ask(self, kind: int, body: bytes, what: str) -> Link | None:
        self._sequence += 1
        self.socket.send(HEADER.pack(16 + len(body), kind, REQUEST, self._sequence, 0) + body)
        while True:
            data = self.socket.recv(1 << 17)
            for answer, flags, sequence, start, end in split_messages(data):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_ERROR:
                    number, text = decode_error(data, flags, start, end)
                    raise NetlinkError([(what, number, text)])
                return _decode_link(data, start, end)

    def links(self) -> list[Link]:
        """All links of the namespace."""
        found = self._dump(RTM_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0), "list links")
        return [_decode_link(data, start, end) for data, start, end in found]

    def addresses(self) -> list[Prefix]:
        """The prefixes of all addresses of all links."""
        out = []
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _ADDR.pack(family, 0, 0, 0, 0)
            for data, start, end in self._dump(RTM_GETADDR, body, "list addresses"):
                _, length, _, _, link = _ADDR.unpack_from(data, start)
                attributes = decode_attributes(data, start + 8, end)
                packed = attributes.get(_IFA_ADDRESS) or attributes.get(_IFA_LOCAL)
                if packed:
                    bits = len(packed) * 8
                    out.append(Prefix(_network(packed, length), length, link, bits))
        return out

    def routes(self) -> list[Prefix]:
        """The destinations of the main and other tables' unicast routes, default routes included (length 0)."""
        return [prefix for family in (socket.AF_INET, socket.AF_INET6) for prefix, _ in self._routes(family)]

    def _routes(self, family: int) -> list[tuple[Prefix, int]]:
        out = []
        body = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        bits = 128 if family == socket.AF_INET6 else 32
        for data, start, end in self._dump(RTM_GETROUTE, body, "list routes"):
            fields = _ROUTE.unpack_from(data, start)
            if fields[7] != _RTN_UNICAST:  # local and broadcast routes are the addresses' own
                continue
            attributes = decode_attributes(data, start + 12, end)
            network = _network(attributes.get(_RTA_DST, bytes(bits // 8)), fields[1])
            link = _U32.unpack(attributes[_RTA_OIF])[0] if _RTA_OIF in attributes else 0
            metrics = attributes.get(_RTA_METRICS, b"")
            mtu = decode_attributes(metrics, 0, len(metrics)).get(_RTAX_MTU)
            out.append((Prefix(network, fields[1], link, bits), _U32.unpack(mtu)[0] if mtu else 0))
        return out

    def uplink_mtu(self) -> int:
        """The mtu in bytes towards the default route (the route's own or its link's), 1500 without one."""
        for prefix, mtu in self._routes(socket.AF_INET):
            if prefix.length == 0 and prefix.link:
                if mtu:
                    return mtu
                return next((link.mtu for link in self.links() if link.number == prefix.link), 1500)
        return 1500

    def _dump(self, kind: int, body: bytes, what: str) -> list[tuple[bytes, int, int]]:
        for _ in range(8):
            found = self._dump_once(kind, body, what)
            if found is not None:
                return found
        raise NetlinkError([(what, errno.EAGAIN, "the list kept changing while the kernel wrote it")])

    def _dump_once(self, kind: int, body: bytes, what: str) -> list[tuple[bytes, int, int]] | None:
        """One dump, or None if something changed while the kernel was writing it (NLM_F_DUMP_INTR)."""
        self._sequence += 1
        self.socket.send(HEADER.pack(16 + len(body), kind, REQUEST | DUMP, self._sequence, 0) + body)
        found: list[tuple[bytes, int, int]] = []
        interrupted = False
        while True:
            data = self.socket.recv(1 << 17)
            for answer, flags, sequence, start, end in split_messages(data):
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(flags & DUMP_INTERRUPTED)
                if answer == NLMSG_DONE:
                    return None if interrupted else found
                if answer == NLMSG_ERROR:
                    number, text = decode_error(data, flags, start, end)
                    raise NetlinkError([(what, number, text)])
                found.append((data, start, end))


def _network(packed: bytes, length: int) -> int:
    bits = len(packed) * 8
    return int.from_bytes(packed, "big") & (((1 << length) - 1) << (bits - length))


def _decode_link(data: bytes, start: int, end: int) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(data, start)
    attributes = decode_attributes(data, start + 16, end)
    return Link(
        index,
        attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        _U32.unpack(attributes[_IFLA_MTU])[0] if _IFLA_MTU in attributes else 0,
        _U32.unpack(attributes[_IFLA_MASTER])[0] if _IFLA_MASTER in attributes else 0,
        bool(flags & _IFF_UP),
        attributes.get(_IFLA_ADDRESS, b"").hex(":"),
    )
