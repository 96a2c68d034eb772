"""The interfaces that macvlan and ipvlan links hang from, where they are ours to make.

As with the reference: a dummy for a network without a way out, and the VLAN sub-interface that "eth0.50" means while
there is no interface of that name.
"""

import errno

from runtime.errors import NotFoundError, UnsupportedError
from runtime.linux.netlink import NetlinkError
from runtime.linux.parent_links import add_dummy, add_vlan
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network.plan import OPTION_PARENT
from runtime.network.record import NetworkRecord

_HIGHEST_VLAN = 4094


def check_parent(rtnetlink: Rtnetlink, network: NetworkRecord) -> None:
    """Raises NotFoundError for a parent that is neither there nor to be made."""
    if not _is_own(network) and rtnetlink.link(network.parent) is None:
        _vlan(rtnetlink, network)


def ensure_parent(rtnetlink: Rtnetlink, network: NetworkRecord, owner: str) -> None:
    """Make the parent if it is ours to make and not there; `owner` is noted at a VLAN.

    Raises NotFoundError, UnsupportedError, OSError.
    """
    if rtnetlink.link(network.parent) is not None:
        return
    if _is_own(network):
        add_dummy(rtnetlink, network.parent)
    else:
        parent, number = _vlan(rtnetlink, network)
        add_vlan(rtnetlink, network.parent, parent, number, owner)
    try:
        rtnetlink.flush()
    except NetlinkError as error:
        if error.errno == errno.EOPNOTSUPP:
            module = "dummy" if _is_own(network) else "8021q"
            raise UnsupportedError(
                f"network {network.name}: the kernel can't make the interface {network.parent}",
                hint=f"load the module {module}",
            ) from error
        if error.errno != errno.EEXIST:  # made by another network at this moment
            raise


def remove_parent(rtnetlink: Rtnetlink, network: NetworkRecord, owner: str) -> None:
    """Take away a parent that `ensure_parent` made, for the last network that uses it; nothing there is no error."""
    link = rtnetlink.link(network.parent)
    if link is None or not (_is_own(network) or link.alias == owner):
        return
    rtnetlink.delete_link(network.parent)
    try:
        rtnetlink.flush()
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise


def _is_own(network: NetworkRecord) -> bool:
    """Whether the network has a dummy of its own."""
    return network.parent != network.options.get(OPTION_PARENT)


def _vlan(rtnetlink: Rtnetlink, network: NetworkRecord) -> tuple[int, int]:
    """The number of the interface that a VLAN's name says it is of, and its tag. Raises NotFoundError."""
    base, _, tag = network.parent.rpartition(".")
    link = rtnetlink.link(base) if base else None
    if link is None or not (tag.isascii() and tag.isdigit() and 0 < int(tag) <= _HIGHEST_VLAN):
        raise NotFoundError(
            f"network {network.name}: the parent interface {network.parent} is not there",
            hint="name an interface of the host, or INTERFACE.NUMBER for one of its VLANs (1 to 4094),"
            " or none for a network without a way out",
        )
    return link.number, int(tag)
