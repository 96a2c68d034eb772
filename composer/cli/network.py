"""`network`: list, make, remove and look at networks, and put containers into them."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from composer.cli.context import Context
from composer.cli.logs import parse_time
from composer.cli.network_filters import LISTED, PRUNED, fits, parse_filters
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.output.formats import check_format, format_list, format_objects
from composer.translate_networks import OPTION_INTERFACE, OPTION_SERIAL, OPTION_SYSCTLS, parse_sysctls
from runtime import (
    Container,
    EngineError,
    NetworkAttachment,
    NetworkRequest,
    NetworkRow,
    NotFoundError,
    Pool,
)

_ID_CHARACTERS = 12
_HEADINGS = {
    "CreatedAt": "CREATED AT", "Driver": "DRIVER", "ID": "NETWORK ID", "IPv4": "IPV4", "IPv6": "IPV6",
    "Internal": "INTERNAL", "Labels": "LABELS", "Name": "NAME", "Scope": "SCOPE",
}  # fmt: skip


def list_networks(
    context: Context, *, quiet: bool, format: str, filters: tuple[str, ...], no_trunc: bool
) -> int:
    """`network ls`."""
    check_format(format)
    wanted = parse_filters(filters, LISTED)
    known = context.engine.networks
    networks = [row for row in known.list() if fits(row, wanted, used=bool(known.users(row.id)))]
    length = 64 if no_trunc else _ID_CHARACTERS
    if quiet:
        lines = [network.id[:length] for network in networks]
    else:
        rows = [_as_line(network, length) for network in networks]
        labels = [network.record.labels for network in networks]
        lines = format_list(format, rows, _HEADINGS, ("ID", "Name", "Driver", "Scope"), labels)
    for line in lines:
        context.out.line(line)
    return 0


def _as_line(network: NetworkRow, length: int) -> dict[str, str]:
    record = network.record
    return {
        "CreatedAt": f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(network.created_ns / 1e9))} +0000 UTC",
        "Driver": record.driver,
        "ID": network.id[:length],
        "IPv4": str(record.has_ipv4).lower(),
        "IPv6": str(record.has_ipv6).lower(),
        "Internal": str(record.internal).lower(),
        "Labels": ",".join(f"{key}={value}" for key, value in record.labels.items()),
        "Name": network.name,
        "Scope": "local",
    }


def inspect(context: Context, *, names: tuple[str, ...], format: str) -> int:
    """`network inspect`: with the reference's field names; 1 if one of them is not there."""
    found = []
    missing = 0
    for name in names:
        network = context.engine.networks.find(name)
        if network is None:
            print_error(context.err, ComposeError(f"network {name} not found"))
            missing = 1
        else:
            found.append(describe_network(context, network))
    for line in format_objects(format, found):
        context.out.line(line)
    return missing


def describe_network(context: Context, network: NetworkRow) -> dict[str, Any]:
    """A network as the reference's `network inspect` prints it."""
    record = network.record
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(network.created_ns // 1_000_000_000))
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": f"{created}.{network.created_ns % 1_000_000_000:09d}Z",
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv4": record.has_ipv4,
        "EnableIPv6": record.has_ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": dict(record.ipam_options),
            "Config": [_as_pool(pool) for pool in record.pools],
        },
        "Internal": record.internal,
        "Attachable": True,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            member.container_id: {
                "Name": member.name,
                "MacAddress": member.mac,
                "IPv4Address": member.address,
                "IPv6Address": member.address6,
            }
            for member in context.engine.networks.members(network.id)
        },
        "Options": dict(record.options),
        "Labels": dict(record.labels),
    }


def _as_pool(pool: Pool) -> dict[str, str]:
    fields = {"Subnet": pool.subnet, "IPRange": pool.ip_range, "Gateway": pool.gateway}
    return {key: value for key, value in fields.items() if value}


def create(
    context: Context,
    *,
    name: str,
    driver: str,
    subnets: tuple[str, ...],
    gateways: tuple[str, ...],
    ranges: tuple[str, ...],
    aux: tuple[str, ...],
    internal: bool,
    ipv4: bool,
    ipv6: bool,
    ipam_driver: str,
    ipam_options: tuple[str, ...],
    scope: str,
    options: tuple[str, ...],
    labels: tuple[str, ...],
) -> int:
    """`network create`: prints the id."""
    if ipam_driver != "default":
        raise ComposeError(
            f"--ipam-driver {ipam_driver!r} is not supported", hint="the only one is `default`"
        )
    if scope != "local":
        raise ComposeError(
            f"--scope {scope!r}: there is one machine, so every network is of the scope `local`"
        )
    for values, option in ((gateways, "--gateway"), (ranges, "--ip-range")):
        if len(values) > max(1, len(subnets)):
            raise ComposeError(
                f"there are more {option} than --subnet", hint="give one for each subnet, in order"
            )
    number = max(len(subnets), len(gateways), len(ranges))
    padded = [(*values, *[""] * number)[:number] for values in (subnets, gateways, ranges)]
    request = NetworkRequest(
        name,
        driver=driver,
        internal=internal,
        ipv4=ipv4,
        ipv6=ipv6 or any(":" in subnet for subnet in subnets),
        pools=tuple(Pool(*parts) for parts in zip(*padded, strict=True)),
        aux=_pairs(aux, "--aux-address"),
        ipam_options=_known(_pairs(ipam_options, "--ipam-opt"), "--ipam-opt", (OPTION_SERIAL,)),
        options=_pairs(options, "--opt"),
        labels=_pairs(labels, "--label"),
    )
    if context.options.dry_run:
        context.engine.networks.check(request)
    if not context.only_tells(f"create network {name}"):
        context.out.line(context.engine.networks.create(request))
    return 0


def _pairs(words: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, separator, value = word.partition("=")
        if not key or (not separator and option != "--label"):
            raise ComposeError(f"{option} {word!r} is not NAME=VALUE")
        pairs[key] = value
    return pairs


def _known(pairs: dict[str, str], option: str, known: Sequence[str]) -> dict[str, str]:
    """The pairs. Raises ComposeError for a name that means nothing."""
    for name in pairs:
        if name not in known:
            raise ComposeError(f"{option} {name} is not supported", hint=f"known: {', '.join(known)}")
    return pairs


def remove(context: Context, *, names: tuple[str, ...], force: bool) -> int:
    """`network rm`: goes on after a failure; 1 if there was one."""
    code = 0
    for name in names:
        network = context.engine.networks.find(name)
        if network is None and force:
            continue
        try:
            real_name = network.name if network else name
            context.engine.networks.check_removable(real_name)
            if context.only_tells(f"remove network {real_name}"):
                continue
            context.engine.networks.remove(real_name)
        except EngineError as error:
            print_error(context.err, error)
            code = 1
        else:
            context.out.line(name)
    return code


def prune(context: Context, *, force: bool, filters: tuple[str, ...] = ()) -> int:
    """`network prune`: remove what nobody uses."""
    wanted = parse_filters(filters, PRUNED)
    until_ns = parse_time(wanted["until"][0]) if "until" in wanted else time.time_ns()
    if not force and not context.confirm("This removes all networks that no container uses. Go on? [y/N] "):
        return 0
    unused = [
        network
        for network in context.engine.networks.list()
        if not context.engine.networks.users(network.id)
        and fits(network, wanted, used=False)
        and network.created_ns < until_ns
    ]
    if unused and not context.options.dry_run:
        context.out.line("Deleted Networks:")
    for network in unused:
        if context.only_tells(f"remove network {network.name}"):
            continue
        context.engine.networks.remove(network.name)
        context.out.line(network.name)
    return 0


def connect(
    context: Context,
    *,
    network: str,
    container: str,
    ip: str,
    ip6: str,
    aliases: tuple[str, ...],
    link_local: tuple[str, ...],
    gw_priority: int,
    links: tuple[str, ...],
    options: tuple[str, ...],
) -> int:
    """`network connect`."""
    name = _network(context, network).name
    named = _known(_pairs(options, "--driver-opt"), "--driver-opt", (OPTION_INTERFACE, OPTION_SYSCTLS))
    attachment = NetworkAttachment(
        name,
        aliases,
        ipv4_address=ip,
        ipv6_address=ip6,
        gw_priority=gw_priority,
        interface_name=named.get(OPTION_INTERFACE, ""),
        link_local_ips=link_local,
        sysctls=parse_sysctls(named),
        links=tuple(_link(context, word) for word in links),
    )
    with _locked(context, container) as found:
        if not context.only_tells(f"connect container {found.name} to network {name}"):
            context.engine.containers.connect(found, attachment)
    return 0


def _link(context: Context, word: str) -> tuple[str, str]:
    """--link CONTAINER[:ALIAS] as (alias, the container's name). Raises ComposeError if there is no such container."""
    name, _, alias = word.partition(":")
    found = context.engine.containers.find(name)
    if found is None:
        raise ComposeError(f"--link {word}: there is no container {name}")
    return alias or name, found.name


def disconnect(context: Context, *, network: str, container: str, force: bool) -> int:
    """`network disconnect`; with `force` it is no error that it is not there (any more)."""
    if force and (
        context.engine.networks.find(network) is None or context.engine.containers.find(container) is None
    ):
        return 0
    name = _network(context, network).name
    with _locked(context, container) as found:
        if not context.only_tells(f"disconnect container {found.name} from network {name}"):
            try:
                context.engine.containers.disconnect(found, name)
            except NotFoundError:
                if not force:
                    raise
    return 0


def _network(context: Context, name: str) -> NetworkRow:
    network = context.engine.networks.find(name)
    if network is None:
        raise ComposeError(f"network {name} not found", hint="`pycompose network ls` lists them")
    return network


@contextlib.contextmanager
def _locked(context: Context, name: str) -> Iterator[Container]:
    """A container, with its project's lock held where something is to change."""
    containers = context.engine.containers
    found = containers.find(name)
    if found is None:
        raise ComposeError(f"there is no container {name}", hint="`pycompose ps -a` lists a project's")
    if context.options.dry_run:
        yield found
        return
    lock = context.engine.project_lock(found.project)
    lock.acquire()
    try:
        yield containers.get(found.id)
    finally:
        lock.release()
