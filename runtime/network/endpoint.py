"""A container's side of its networks, as its shim sets it up: veth pairs, addresses, routes, published ports.

`HostNetwork` is opened on the host; the shim then leaves for a namespace of its own, and the sockets go
on working on the host while what is opened afterwards works inside.
"""

import errno
import os
from collections.abc import Sequence

from runtime.errors import ConflictError, NotFoundError
from runtime.linux.conntrack import Conntrack
from runtime.linux.netlink import NetlinkError
from runtime.linux.nfnetlink import Nfnetlink
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network.firewall.nft import Firewall
from runtime.network.firewall.rules import PublishedPort
from runtime.network.record import Endpoint

# The loopback is number 1; giving the others their numbers saves looking them up.
_FIRST_INTERFACE = 2


class HostNetwork:
    """Sockets of the host's network namespace. `table` is the root's nftables table (Paths.nft_table)."""

    def __init__(self, table: str) -> None:
        self.rtnetlink = Rtnetlink()
        self._nfnetlink = Nfnetlink()
        self.firewall = Firewall(self._nfnetlink, table)
        self._conntrack = Conntrack()
        self._links: dict[str, str] = {}  # address -> the host's end of its veth pair

    def close(self) -> None:
        self.rtnetlink.close()
        self._nfnetlink.close()
        self._conntrack.close()

    def attach(self, endpoints: Sequence[Endpoint]) -> None:
        """Puts the calling process's network namespace into these networks; lo comes up in any case.

        The default route leads through the first endpoint that has a gateway. Raises NotFoundError if a
        bridge is gone, ConflictError for an address or name that is taken, OSError.
        """
        self._links = {endpoint.address: endpoint.host_interface for endpoint in endpoints}
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._add_veths(endpoints, namespace)
        finally:
            os.close(namespace)
        inside = Rtnetlink()
        try:
            inside.set_up(index=1)
            route = ""
            for index, endpoint in enumerate(endpoints, _FIRST_INTERFACE):
                inside.add_address(index, endpoint.address, endpoint.prefix_length)
                inside.set_up(index=index)
                if endpoint.gateway and not route:
                    route = endpoint.gateway
                    inside.add_route("", 0, gateway=route, link=index)
            inside.flush()
        finally:
            inside.close()

    def _add_veths(self, endpoints: Sequence[Endpoint], namespace: int) -> None:
        if not endpoints:
            return
        _disable_ipv6()
        self._queue_veths(endpoints, namespace)
        try:
            self.rtnetlink.flush()
        except NetlinkError as error:
            if any(number != errno.EEXIST for _, number, _ in error.failed):
                raise
            # The namespace of this container's last shim has not vanished yet, and its links with it.
            self._replace_veths(endpoints, namespace, error)

    def _queue_veths(self, endpoints: Sequence[Endpoint], namespace: int) -> None:
        masters: dict[str, int] = {}
        for index, endpoint in enumerate(endpoints, _FIRST_INTERFACE):
            if endpoint.bridge not in masters:
                link = self.rtnetlink.link(endpoint.bridge)
                if link is None:
                    raise NotFoundError(
                        f"the bridge {endpoint.bridge} of network {endpoint.network_name} is not there",
                        hint="somebody removed it; `up` makes it again",
                    )
                masters[endpoint.bridge] = link.number
            self.rtnetlink.add_veth(
                endpoint.host_interface,
                peer=endpoint.interface,
                peer_index=index,
                peer_mac=endpoint.mac,
                namespace=namespace,
                master=masters[endpoint.bridge],
                mtu=endpoint.mtu,
            )

    def _replace_veths(self, endpoints: Sequence[Endpoint], namespace: int, error: NetlinkError) -> None:
        """Deletes the host's ends that are in the way (those made a moment ago too) and makes all again."""
        for endpoint in endpoints:
            self.rtnetlink.delete_link(endpoint.host_interface)
        try:
            self.rtnetlink.flush()
        except NetlinkError as gone:
            if any(number != errno.ENODEV for _, number, _ in gone.failed):
                raise
        self._queue_veths(endpoints, namespace)
        try:
            self.rtnetlink.flush()
        except NetlinkError as again:
            raise ConflictError(f"{again.strerror} (first: {error.strerror})") from again

    def publish(self, ports: Sequence[PublishedPort]) -> None:
        """Makes host ports lead to the container. Raises OSError, NotFoundError if the table is gone."""
        # Where br_netfilter is loaded (dockerd does), a container that calls its own published port is
        # answered by the bridge itself, which needs leave to use the port that the packet came from.
        for link in {self._links[port.container_ip] for port in ports if port.container_ip in self._links}:
            self.rtnetlink.set_hairpin(link)
        self.rtnetlink.flush()
        try:
            self.firewall.publish(ports)
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            raise NotFoundError(
                f"the firewall table {self.firewall.table} is not there, so no port can be published",
                hint="somebody removed it (`nft flush ruleset`?); `up` makes it again",
            ) from error
        datagram_ports = {port.host_port for port in ports if port.protocol == "udp"}
        if datagram_ports:
            self._conntrack.forget_udp(datagram_ports)

    def unpublish(self, ports: Sequence[PublishedPort]) -> None:
        """The inverse of `publish`; what is gone already is no error."""
        self.firewall.unpublish(ports)


def _disable_ipv6() -> None:
    """Networks are IPv4: links made from now on in this namespace get no IPv6 address of their own accord."""
    try:
        with open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
            file.write("1")
    except OSError as error:
        # No IPv6 in this kernel, or /proc/sys read-only: the address would be link-local only.
        if error.errno not in (errno.ENOENT, errno.EROFS, errno.EACCES):
            raise
