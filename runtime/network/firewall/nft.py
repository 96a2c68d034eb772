"""The effect side of the firewall: our table, the elements of networks and ports, and accepts in foreign
chains.

What the table holds is rules.py's; how messages look is linux/nfnetlink.py's. Every change is one
transaction. Two processes may change the table at once: what depends on what was read before is
committed only if nothing has changed since (the ruleset's generation), and read again otherwise.
"""

import errno
from collections.abc import Callable, Sequence

from runtime.errors import UnsupportedError
from runtime.linux.netlink import NetlinkError
from runtime.linux.nfnetlink import (
    FAMILY_INET,
    FAMILY_IP,
    FAMILY_IP6,
    HOOK_FORWARD,
    POLICY_DROP,
    Chain,
    Nfnetlink,
    Transaction,
)
from runtime.network.firewall import expressions, firewalld, legacy, rules
from runtime.network.firewall.rules import NetworkRules, PublishedPort
from runtime.network.ipam import IPV4_BITS, IPV6_BITS, Subnet

_ERESTART = 85
_DOCKER_USER = ("filter", "DOCKER-USER")
_FIREWALLD = (firewalld.TABLE, firewalld.CHAIN)
_ATTEMPTS = 50


class Firewall:
    """One root's nftables table of one family, through a socket of the namespace that `nfnetlink` was opened in."""

    def __init__(self, nfnetlink: Nfnetlink, table: str, *, ipv6: bool = False) -> None:
        self._netlink = nfnetlink
        self._ipv6 = ipv6
        self._family = FAMILY_IP6 if ipv6 else FAMILY_IP
        self.table = table
        self.bits = IPV6_BITS if ipv6 else IPV4_BITS  # of the addresses it is about

    def ensure_network(self, network: NetworkRules) -> tuple[str, ...]:
        """Makes a bridge one of ours: NAT, isolation, and an accept where a foreign chain would drop.

        Idempotent. Returns warnings for the user, one line each.
        Raises UnsupportedError where the kernel lacks nftables or NAT.
        """
        elements = rules.network_elements(network)
        for _ in range(_ATTEMPTS):
            self._ensure_table()
            transaction = Transaction(self._family)
            for name, keys in elements.items():
                transaction.add_elements(self.table, name, [(key, b"") for key in keys])
            if self._commit(transaction, lost=errno.ENOENT):
                break
        else:
            raise OSError(errno.EAGAIN, f"the firewall table {self.table} vanished {_ATTEMPTS} times")
        warnings = self._ensure_foreign_accepts(network.bridge)
        return warnings if self._ipv6 else (*warnings, *legacy.ensure_accepts(network.bridge))

    def remove_network(self, bridge: str, subnets: Sequence[Subnet]) -> None:
        """Takes away all of a network, ports into its subnets too; the last network takes the table along."""

        def build() -> Transaction | None:
            return self._removal(bridge, subnets)

        self._repeat(build)
        self._remove_foreign_accepts(bridge)
        if not self._ipv6:
            legacy.remove_accepts(bridge)

    def publish(self, ports: Sequence[PublishedPort]) -> None:
        """Makes host ports lead to containers. An entry of somebody who is gone is replaced.

        The caller holds the ports (network/ports.py), so that an entry found for one is never in use.
        """
        if not ports:
            return
        transaction = Transaction(self._family)
        for name, elements in _by_map(ports).items():
            transaction.add_elements(self.table, name, list(elements.items()))
        try:
            self._netlink.commit(transaction)
        except NetlinkError as error:
            if error.errno not in (errno.EBUSY, errno.EEXIST):
                raise
            self._repeat(lambda: self._replacement(ports))

    def unpublish(self, ports: Sequence[PublishedPort]) -> None:
        """The inverse of `publish`; entries that are gone or lead elsewhere by now are left alone."""
        if ports:
            self._repeat(lambda: self._withdrawal(ports))

    def published(self) -> list[PublishedPort]:
        """All entries of the table."""
        return [
            rules.parse_port_element(name, key, data, ipv6=self._ipv6)
            for name in (rules.PUBLISHED, rules.PUBLISHED_ANY)
            for key, data in self._elements(name)
        ]

    def _ensure_table(self) -> None:
        found = self._netlink.table(self.table, self._family)
        if found is not None and found.comment == rules.VERSION:
            return
        kept: dict[str, list[tuple[bytes, bytes]]] = {}
        transaction = Transaction(self._family)
        generation = 0
        if found is not None:  # an older release's: same elements, new rules
            generation = self._netlink.generation()
            kept = {name: self._elements(name) for name in rules.sets(ipv6=self._ipv6)}
            transaction.delete_table(self.table)
        transaction.add_table(self.table, rules.VERSION, exclusive=True)
        for name, (key, data) in rules.sets(ipv6=self._ipv6).items():
            transaction.add_set(self.table, name, key, data)
        for name, kind, hook, priority in rules.CHAINS:
            transaction.add_chain(self.table, name, kind, hook, priority)
        for chain, body in rules.table_rules(ipv6=self._ipv6):
            transaction.add_rule(self.table, chain, body)
        for name, elements in kept.items():
            transaction.add_elements(self.table, name, elements)
        try:
            self._netlink.commit(transaction, generation)
        except NetlinkError as error:
            # Somebody else made it at the same moment (or changes it): the caller looks again.
            if error.errno in (errno.EEXIST, _ERESTART):
                return
            if error.errno in (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL):
                raise UnsupportedError(
                    f"the kernel refused the firewall table {self.table}: {error.strerror}",
                    hint="networks need nf_tables with nft_nat, nft_masq, nft_fib_ipv4 (or _ipv6) and nft_ct",
                ) from error
            raise

    def _elements(self, name: str) -> list[tuple[bytes, bytes]]:
        return self._netlink.elements(self.table, name, self._family)

    def _removal(self, bridge: str, subnets: Sequence[Subnet]) -> Transaction | None:
        if self._netlink.table(self.table, self._family) is None:
            return None
        transaction = Transaction(self._family)
        present = {name: [key for key, _ in self._elements(name)] for name in rules.OF_BRIDGES}
        ours = {name: rules.keys_of(keys, bridge) for name, keys in present.items()}
        if len(ours[rules.BRIDGES]) == len(present[rules.BRIDGES]):
            transaction.delete_table(self.table)
            return transaction
        for name, keys in ours.items():
            transaction.delete_elements(self.table, name, keys)
        for name in rules.OF_PORTS:
            elements = self._elements(name)
            stale = [key for subnet in subnets for key in rules.keys_into(name, elements, subnet)]
            transaction.delete_elements(self.table, name, stale)
        return transaction

    def _replacement(self, ports: Sequence[PublishedPort]) -> Transaction:
        transaction = Transaction(self._family)
        for name, elements in _by_map(ports).items():
            present = dict(self._elements(name))
            stale = [key for key, data in elements.items() if key in present and present[key] != data]
            transaction.delete_elements(self.table, name, stale)
            transaction.add_elements(self.table, name, list(elements.items()))
        return transaction

    def _withdrawal(self, ports: Sequence[PublishedPort]) -> Transaction:
        transaction = Transaction(self._family)
        for name, elements in _by_map(ports).items():
            present = dict(self._elements(name))
            ours = [key for key, data in elements.items() if present.get(key) == data]
            transaction.delete_elements(self.table, name, ours)
        return transaction

    def _commit(self, transaction: Transaction, *, lost: int, generation: int = 0) -> bool:
        try:
            self._netlink.commit(transaction, generation)
        except NetlinkError as error:
            if error.errno == lost:
                return False
            raise
        return True

    def _repeat(self, build: "Callable[[], Transaction | None]") -> None:
        """Commits what `build` makes of the present state; again if the state changed meanwhile."""
        for _ in range(_ATTEMPTS):
            generation = self._netlink.generation()
            transaction = build()
            if transaction is None or self._commit(transaction, lost=_ERESTART, generation=generation):
                return
        raise OSError(
            errno.EAGAIN, f"the firewall changed {_ATTEMPTS} times while table {self.table} was read"
        )

    def _ensure_foreign_accepts(self, bridge: str) -> tuple[str, ...]:
        for chain in self._foreign_chains(only_dropping=True):
            present = self._netlink.rules(chain.table, chain.name, chain.family)
            if any(rule.comment == _comment(bridge) for rule in present):
                continue
            is_firewalld = (chain.table, chain.name) == _FIREWALLD
            if is_firewalld and (self._is_in_zone(chain, bridge) or firewalld.trust(bridge)):
                continue
            transaction = Transaction(chain.family)
            for load in (expressions.load_iifname(), expressions.load_oifname()):
                body = load + expressions.compare(bridge.encode() + b"\0")
                body += expressions.counter() + expressions.accept()
                transaction.add_rule(chain.table, chain.name, body, _comment(bridge), first=True)
            try:
                self._netlink.commit(transaction)
            except NetlinkError as error:
                if error.errno != errno.EPERM:
                    raise
                return (
                    f"the table {chain.table} of another firewall may not be changed: "
                    f"let it accept what {bridge} forwards, or containers there reach no other machine",
                )
        return ()

    def _is_in_zone(self, chain: Chain, bridge: str) -> bool:
        found = self._netlink.rules(chain.table, firewalld.ZONES_CHAIN, chain.family)
        return any(bridge.encode() + b"\0" in rule.expressions for rule in found)

    def _remove_foreign_accepts(self, bridge: str) -> None:
        for chain in self._foreign_chains(only_dropping=False):
            transaction = Transaction(chain.family)
            if (chain.table, chain.name) == _FIREWALLD and self._is_in_zone(chain, bridge):
                firewalld.forget(bridge)
            for rule in self._netlink.rules(chain.table, chain.name, chain.family):
                if rule.comment == _comment(bridge):
                    transaction.delete_rule(chain.table, chain.name, rule.handle)
            self._commit(transaction, lost=errno.ENOENT)

    def _foreign_chains(self, *, only_dropping: bool) -> list[Chain]:
        """Where forwarded packets of our family may be dropped: foreign base chains, DOCKER-USER in place of its
        FORWARD.
        """
        families = (self._family, FAMILY_INET)
        chains = [chain for chain in self._netlink.chains() if chain.family in families]
        user = next((c for c in chains if (c.family, c.table, c.name) == (self._family, *_DOCKER_USER)), None)
        out = []
        for chain in chains:
            if chain.hook != HOOK_FORWARD or chain.kind != "filter" or chain.table == self.table:
                continue
            if only_dropping and chain.policy != POLICY_DROP and (chain.table, chain.name) != _FIREWALLD:
                continue
            docker = user is not None and (chain.family, chain.table) == (user.family, user.table)
            out.append(user if docker and user is not None and only_dropping else chain)
        if user is not None and not only_dropping:
            out.append(user)
        return out


def _comment(bridge: str) -> str:
    return f"pycompose {bridge}"


def _by_map(ports: Sequence[PublishedPort]) -> dict[str, dict[bytes, bytes]]:
    out: dict[str, dict[bytes, bytes]] = {}
    for port in ports:
        name, key, data = rules.port_element(port)
        out.setdefault(name, {})[key] = data
    return out
