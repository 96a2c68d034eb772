"""A container's side of its networks, as its builder sets it up: links, addresses, routes, published ports.

`HostNetwork` is opened on the host; its owner then leaves for the container's namespace, and the sockets go
on working on the host while what is opened afterwards works inside.
"""

import errno
import os
import time
from collections.abc import Callable, Sequence

from runtime.errors import ConflictError, NotFoundError, UnsupportedError
from runtime.linux.conntrack import Conntrack
from runtime.linux.netlink import NetlinkError
from runtime.linux.nfnetlink import Nfnetlink
from runtime.linux.rtnetlink import Rtnetlink
from runtime.network.firewall.nft import Firewall
from runtime.network.firewall.rules import PublishedPort
from runtime.network.ipam import is_ipv6
from runtime.network.record import Endpoint

# The loopback is number 1; giving the others their numbers saves looking them up.
_FIRST_INTERFACE = 2
# Network namespaces are torn down in the background: within 0.1 s, but under load it has taken longer.
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.02


class HostNetwork:
    """Sockets of the host's network namespace. `table` is the name of the root's nftables tables (Paths.nft_table)."""

    def __init__(self, table: str) -> None:
        self.rtnetlink = Rtnetlink()
        self._nfnetlink = Nfnetlink()
        self.firewall = Firewall(self._nfnetlink, table)
        self.firewall6 = Firewall(self._nfnetlink, table, ipv6=True)
        self._conntrack = Conntrack()
        self._links: dict[str, str] = {}  # address -> the host's end of its veth pair

    def close(self) -> None:
        self.rtnetlink.close()
        self._nfnetlink.close()
        self._conntrack.close()

    # ---- links

    def attach(self, endpoints: Sequence[Endpoint]) -> None:
        """Puts the calling process's new network namespace into these networks; lo comes up in any case.

        Raises NotFoundError if a bridge or parent is gone, ConflictError for an address or name that is taken,
        OSError.
        """
        with Rtnetlink() as inside:
            numbers = self._add_links(inside, endpoints, _FIRST_INTERFACE)

            def ask() -> None:
                inside.set_up(index=1)
                for index, endpoint in zip(numbers, endpoints, strict=True):
                    _queue_addresses(inside, index, endpoint)
                for ipv6 in (False, True):
                    _queue_default_route(inside, endpoints, numbers, ipv6=ipv6)

            _flush_patiently(inside, ask)

    def connect(self, endpoint: Endpoint, others: Sequence[Endpoint]) -> None:
        """Puts the calling process's namespace, which is in the networks of `others`, into one more.

        Raises as `attach`; the link is taken away again then.
        """
        with Rtnetlink() as inside:
            self._add_links(inside, [endpoint], 0)
        try:
            with Rtnetlink() as inside:
                link = inside.link(endpoint.interface)
                if link is None:
                    raise NotFoundError(f"the link {endpoint.interface} vanished")
                _flush_patiently(inside, lambda: _queue_addresses(inside, link.number, endpoint))
                _renew_default_routes(inside, (*others, endpoint))
        except BaseException:
            self.disconnect(endpoint, others)
            raise

    def disconnect(self, endpoint: Endpoint, others: Sequence[Endpoint]) -> None:
        """The inverse of `connect`; `others` are the endpoints that stay."""
        with Rtnetlink() as inside:
            owner, name = (
                (self.rtnetlink, endpoint.host_interface)
                if endpoint.driver == "bridge"
                else (inside, endpoint.interface)
            )
            owner.delete_link(name)
            try:
                owner.flush()
            except NetlinkError as error:
                if error.errno != errno.ENODEV:
                    raise
            _renew_default_routes(inside, others)

    def _add_links(self, inside: Rtnetlink, endpoints: Sequence[Endpoint], first: int) -> list[int]:
        """Make the links of endpoints; their numbers.

        Those of pairs count from `first` on (0 = are the kernel's choice, and then 0 in what is returned).
        """
        for endpoint in endpoints:
            for item in endpoint.addresses:
                self._links[item.address] = endpoint.host_interface
        if not endpoints:
            return []
        numbers = [first + position if first else 0 for position in range(len(endpoints))]
        _disable_ipv6("default")
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._queue_pairs(endpoints, numbers, namespace)
            try:
                self.rtnetlink.flush()
            except NetlinkError as error:
                if any(number != errno.EEXIST for _, number, _ in error.failed):
                    raise
                # The namespace of this container's last shim has not vanished yet, and its links with it.
                self._replace_pairs(endpoints, numbers, namespace, error)
            for position, endpoint in enumerate(endpoints):
                if endpoint.driver != "bridge":
                    numbers[position] = self._add_sub_link(inside, endpoint, namespace)
        finally:
            os.close(namespace)
        for endpoint in endpoints:
            _write_sysctls(endpoint)
        return numbers

    def _queue_pairs(self, endpoints: Sequence[Endpoint], numbers: Sequence[int], namespace: int) -> None:
        bridges: dict[str, int] = {}
        for index, endpoint in zip(numbers, endpoints, strict=True):
            if endpoint.driver != "bridge":
                continue
            if endpoint.bridge not in bridges:
                bridges[endpoint.bridge] = self._number_of(endpoint.bridge, endpoint)
            self.rtnetlink.add_veth(
                endpoint.host_interface,
                peer=endpoint.interface,
                peer_index=index,
                peer_mac=endpoint.mac,
                namespace=namespace,
                master=bridges[endpoint.bridge],
                mtu=endpoint.mtu,
            )
            if endpoint.isolated:
                self.rtnetlink.set_isolated(endpoint.host_interface)

    def _add_sub_link(self, inside: Rtnetlink, endpoint: Endpoint, namespace: int) -> int:
        """Make the macvlan or ipvlan link of an interface of the host; its number.

        The kernel looks for its name and number on the host, where the parent is: a name that the host does not have
        leads past an eth0 there, and is changed inside.
        """
        name = f"pm{os.getpid()}"
        self.rtnetlink.add_sub_link(
            name,
            kind=endpoint.driver,
            mode=endpoint.mode,
            parent=self._number_of(endpoint.parent, endpoint),
            namespace=namespace,
            mac=endpoint.mac,
            mtu=endpoint.mtu,
        )
        try:
            self.rtnetlink.flush()
        except NetlinkError as error:
            raise _unsupported(endpoint, error) or error from error
        link = inside.link(name)
        if link is None:
            raise NotFoundError(f"the {endpoint.driver} link for network {endpoint.network_name} vanished")
        inside.rename(link.number, endpoint.interface)
        inside.flush()
        return link.number

    def _number_of(self, name: str, endpoint: Endpoint) -> int:
        link = self.rtnetlink.link(name)
        if link is None:
            what = "bridge" if name == endpoint.bridge else "parent interface"
            raise NotFoundError(
                f"the {what} {name} of network {endpoint.network_name} is not there",
                hint="somebody removed it; `up` makes what is the network's own again",
            )
        return link.number

    def _replace_pairs(
        self, endpoints: Sequence[Endpoint], numbers: Sequence[int], namespace: int, error: NetlinkError
    ) -> None:
        """Deletes the host's ends that are in the way (those made a moment ago too) and makes all again."""
        for endpoint in endpoints:
            if endpoint.host_interface:
                self.rtnetlink.delete_link(endpoint.host_interface)
        try:
            self.rtnetlink.flush()
        except NetlinkError as gone:
            if any(number != errno.ENODEV for _, number, _ in gone.failed):
                raise
        self._queue_pairs(endpoints, numbers, namespace)
        try:
            self.rtnetlink.flush()
        except NetlinkError as again:
            raise ConflictError(f"{again.strerror} (first: {error.strerror})") from again

    # ---- published ports

    def publish(self, ports: Sequence[PublishedPort]) -> None:
        """Makes host ports lead to the container. Raises OSError, NotFoundError if the table is gone."""
        # Where br_netfilter is loaded (dockerd does), a container that calls its own published port is
        # answered by the bridge itself, which needs leave to use the port that the packet came from.
        for link in {self._links.get(port.container_ip, "") for port in ports} - {""}:
            self.rtnetlink.set_hairpin(link)
        self.rtnetlink.flush()
        for firewall, of_family in self._by_family(ports):
            try:
                firewall.publish(of_family)
            except NetlinkError as error:
                if error.errno != errno.ENOENT:
                    raise
                raise NotFoundError(
                    f"the firewall table {firewall.table} is not there, so no port can be published",
                    hint="somebody removed it (`nft flush ruleset`?); `up` makes it again",
                ) from error
        datagram_ports = {port.host_port for port in ports if port.protocol == "udp"} - {0}
        if datagram_ports:
            self._conntrack.forget_udp(datagram_ports)

    def lead_ports(
        self, endpoint: Endpoint, old: Sequence[PublishedPort], new: Sequence[PublishedPort]
    ) -> None:
        """Let published ports that led to another endpoint of a container, or to none, lead to this one."""
        self._links.update((item.address, endpoint.host_interface) for item in endpoint.addresses)
        self.publish(new)
        self.unpublish([port for port in old if port not in new])

    def unpublish(self, ports: Sequence[PublishedPort]) -> None:
        """The inverse of `publish`; what is gone already is no error."""
        for firewall, of_family in self._by_family(ports):
            firewall.unpublish(of_family)

    def _by_family(self, ports: Sequence[PublishedPort]) -> list[tuple[Firewall, list[PublishedPort]]]:
        families = (
            (self.firewall, [port for port in ports if not is_ipv6(port.container_ip)]),
            (self.firewall6, [port for port in ports if is_ipv6(port.container_ip)]),
        )
        return [(firewall, of_family) for firewall, of_family in families if of_family]


def _unsupported(endpoint: Endpoint, error: NetlinkError) -> UnsupportedError | None:
    """The error for a driver that this kernel does not have, None where that is not the matter."""
    if error.errno != errno.EOPNOTSUPP:
        return None
    return UnsupportedError(
        f"the kernel refused a {endpoint.driver} link: not supported",
        hint=f"load the module {endpoint.driver}",
    )


def _flush_patiently(inside: Rtnetlink, queue: Callable[[], None]) -> None:
    """Send what `queue` queues, and again for as long as an address has not been given up yet.

    Siblings can't share a macvlan's MAC or an ipvlan's address, and the namespace of this container's last shim, with
    its link, vanishes in the background. Raises NetlinkError.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    passed: set[int] = set()
    while True:
        queue()
        try:
            inside.flush()
            return
        except NetlinkError as error:
            failed = {number for _, number, _ in error.failed} - passed
            if not failed:
                return
            if errno.EADDRINUSE not in failed or time.monotonic() > deadline:
                raise
            passed = {errno.EEXIST}  # what succeeded this time
            time.sleep(_PAUSE_SECONDS)


def _queue_addresses(inside: Rtnetlink, index: int, endpoint: Endpoint) -> None:
    for item in endpoint.addresses:
        inside.add_address(index, item.address, item.prefix_length)
    for address in endpoint.link_local:
        inside.add_address(index, address, 64 if is_ipv6(address) else 16)
    inside.set_up(index=index)


def default_gateway(endpoints: Sequence[Endpoint], *, ipv6: bool = False) -> tuple[int, str] | None:
    """Where the default route of a family leads: (position of the endpoint, gateway or "" = any); None = nowhere.

    By the highest gw_priority, then in the order given (Compose spec 05-services: gw_priority).
    """
    best: tuple[int, int, str] | None = None
    for position, endpoint in enumerate(endpoints):
        for item in endpoint.addresses:
            # An ipvlan in a layer 3 mode has no neighbours, so no gateway either.
            if item.is_ipv6 != ipv6 or not (item.gateway or endpoint.mode.startswith("l3")):
                continue
            if best is None or endpoint.gw_priority > best[0]:
                best = endpoint.gw_priority, position, item.gateway
    return None if best is None else best[1:]


def _queue_default_route(
    inside: Rtnetlink, endpoints: Sequence[Endpoint], numbers: Sequence[int], *, ipv6: bool
) -> None:
    chosen = default_gateway(endpoints, ipv6=ipv6)
    if chosen is not None:
        position, gateway = chosen
        inside.add_route("", 0, gateway=gateway, link=numbers[position], ipv6=ipv6)


def _renew_default_routes(inside: Rtnetlink, endpoints: Sequence[Endpoint]) -> None:
    """Lead the default routes through where they belong among these endpoints, whose links are there."""
    for ipv6 in (False, True):
        inside.delete_default_route(ipv6=ipv6)
        try:
            inside.flush()
        except NetlinkError as error:
            if error.errno not in (errno.ESRCH, errno.ENETUNREACH):
                raise
        chosen = default_gateway(endpoints, ipv6=ipv6)
        link = None if chosen is None else inside.link(endpoints[chosen[0]].interface)
        if chosen is not None and link is not None:
            inside.add_route("", 0, gateway=chosen[1], link=link.number, ipv6=ipv6)
            inside.flush()


def _write_sysctls(endpoint: Endpoint) -> None:
    """The interface's own switches: IPv6 where its network has it, and what the endpoint's driver_opts ask for."""
    folder = f"/proc/sys/net/ipv6/conf/{endpoint.interface}"
    if endpoint.address(ipv6=True) or any(is_ipv6(address) for address in endpoint.link_local):
        _write(f"{folder}/accept_ra", "0")
        _write(f"{folder}/disable_ipv6", "0")
    for name, value in endpoint.sysctls:
        path = name.replace(".", "/").replace("IFNAME", endpoint.interface)
        _write(f"/proc/sys/{path}", value)


def _disable_ipv6(scope: str) -> None:
    """Links made from now on in this namespace get no IPv6 address of their own accord."""
    try:
        _write(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6", "1")
    except OSError as error:
        # No IPv6 in this kernel, or /proc/sys read-only: the address would be link-local only.
        if error.errno not in (errno.ENOENT, errno.EROFS, errno.EACCES):
            raise


def _write(path: str, value: str) -> None:
    with open(path, "w") as file:
        file.write(value)
