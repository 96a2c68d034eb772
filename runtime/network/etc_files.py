"""The text of a container's /etc/hosts, /etc/hostname and /etc/resolv.conf.

Pure (hosts(5), resolv.conf(5)).
"""

from collections.abc import Sequence
from typing import NamedTuple

from runtime.errors import InvalidError

EMBEDDED_NAMESERVER = "127.0.0.11"
_LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class ResolvConf(NamedTuple):
    """What a resolv.conf says; of several `search` lines the last counts."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """Reads a resolv.conf; unknown lines are passed over, as the C library does."""
    nameservers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            nameservers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options += words[1:]
    return ResolvConf(tuple(nameservers), search, tuple(options))


def resolv_conf_text(
    host: ResolvConf,
    *,
    embedded: bool,
    dns: Sequence[str] = (),
    dns_search: Sequence[str] = (),
    dns_opt: Sequence[str] = (),
) -> str:
    """A container's resolv.conf. What the container asks for replaces the host's; a search of "." means none.

    With `embedded` (every network but the host's) the only server is our responder, which asks `dns` or the
    host's servers itself; "ndots:0" then lets names with a dot in them, service.network, be tried as
    they are.
    """
    nameservers = [EMBEDDED_NAMESERVER] if embedded else list(dns or host.nameservers)
    search = [domain for domain in (dns_search or host.search) if domain != "."]
    options = list(dns_opt or host.options)
    if embedded and not any(option.startswith("ndots:") for option in options):
        options.append("ndots:0")
    lines = [f"nameserver {server}" for server in nameservers]
    if search:
        lines.append("search " + " ".join(search))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def hosts_text(
    hostname: str,
    domainname: str = "",
    addresses: Sequence[str] = (),
    extra_hosts: Sequence[tuple[str, str]] = (),
    gateway: str = "",
) -> str:
    """A container's hosts file: loopback, extra hosts, and its own name for each of its addresses.

    "host-gateway" in extra_hosts becomes `gateway`. Raises InvalidError where there is none.
    """
    lines = [_LOCAL]
    for name, address in extra_hosts:
        if address == "host-gateway":
            if not gateway:
                raise InvalidError(
                    f"extra_hosts: {name}: host-gateway means nothing without a way to the host",
                    hint="join a network that is not internal",
                )
            address = gateway
        lines.append(f"{address}\t{name}\n")
    lines.append(own_lines(hostname, domainname, addresses or ("127.0.1.1",)))
    return "".join(lines)


def own_lines(hostname: str, domainname: str, addresses: Sequence[str]) -> str:
    """The lines of a hosts file that give a container's name to its addresses."""
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    return "".join(f"{address}\t{names}\n" for address in addresses)


def without_addresses(hosts: str, addresses: Sequence[str]) -> str:
    """A hosts file without the lines of these addresses."""
    return "".join(
        line
        for line in hosts.splitlines(keepends=True)
        if not line.split() or line.split()[0] not in addresses
    )


def hostname_text(hostname: str) -> str:
    return f"{hostname}\n"
