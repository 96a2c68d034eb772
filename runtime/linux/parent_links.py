"""The links that others may hang from: a VLAN sub-interface, and a dummy.

Beside rtnetlink.py, since few networks need any of it. Source: if_link.h.
"""

import struct

from runtime.linux.netlink import CREATE, EXCL, encode_attribute
from runtime.linux.rtnetlink import RTM_NEWLINK, Rtnetlink, encode_link

_IFLA_LINK, _IFLA_LINKINFO, _IFLA_IFALIAS = 5, 18, 20
_INFO_KIND, _INFO_DATA, _VLAN_ID = 1, 2, 1


def encode_vlan(name: str, parent: int, number: int) -> bytes:
    """The 802.1Q sub-interface that has the packets with this tag of the link with index `parent`."""
    info = encode_attribute(_INFO_KIND, b"vlan")
    info += encode_attribute(_INFO_DATA, encode_attribute(_VLAN_ID, struct.pack("=H", number)))
    body = encode_link(name) + encode_attribute(_IFLA_LINK, struct.pack("=I", parent))
    return body + encode_attribute(_IFLA_LINKINFO, info)


def encode_dummy(name: str) -> bytes:
    """An interface that leads nowhere."""
    return encode_link(name) + encode_attribute(_IFLA_LINKINFO, encode_attribute(_INFO_KIND, b"dummy"))


def encode_alias(name: str, alias: str) -> bytes:
    """Sets a link's alias."""
    return encode_link(name) + encode_attribute(_IFLA_IFALIAS, alias.encode())


def add_vlan(rtnetlink: Rtnetlink, name: str, parent: int, number: int, alias: str) -> None:
    """Queues the creation of a VLAN sub-interface with that alias, up."""
    rtnetlink.queue(RTM_NEWLINK, encode_vlan(name, parent, number), f"create vlan {name}", CREATE | EXCL)
    rtnetlink.queue(RTM_NEWLINK, encode_alias(name, alias), f"set the alias of link {name}")
    rtnetlink.set_up(name=name)


def add_dummy(rtnetlink: Rtnetlink, name: str) -> None:
    """Queues the creation of a dummy, up."""
    rtnetlink.queue(RTM_NEWLINK, encode_dummy(name), f"create dummy {name}", CREATE | EXCL)
    rtnetlink.set_up(name=name)
