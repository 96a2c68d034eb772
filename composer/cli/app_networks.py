"""The options of `pycompose network …`; see `app`."""

import importlib
from typing import Annotated, Any

import typer

from composer.cli.context import Context
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format, InspectFormat

network_app = typer.Typer(help="Networks.", no_args_is_help=True, rich_markup_mode=None)

Names = Annotated[list[str], typer.Argument(metavar="NETWORK...")]
Network = Annotated[str, typer.Argument(metavar="NETWORK")]
Container = Annotated[str, typer.Argument(metavar="CONTAINER", help="Name or id.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")]


def _run(context: typer.Context, action: str, **parameters: Any) -> None:
    module = importlib.import_module("composer.cli.network")
    with Context(context.obj) as opened:
        raise typer.Exit(getattr(module, action)(opened, **parameters))


def _words(values: list[str] | None) -> tuple[str, ...]:
    return tuple(values or ())


@network_app.command("ls")
def network_list(
    context: typer.Context,
    quiet: Quiet = False,
    format: Format = "table",
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            "-f",
            help="name=, id=, driver=, label=, dangling=, scope= or type=, repeatable.",
        ),
    ] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not shorten ids.")] = False,
) -> None:
    """List networks."""
    _run(context, "list_networks", quiet=quiet, format=format, filters=_words(filters), no_trunc=no_trunc)


@network_app.command("inspect")
def network_inspect(context: typer.Context, names: Names, format: InspectFormat = "") -> None:
    """Print all that is known of networks, as JSON."""
    _run(context, "inspect", names=tuple(names), format=format)


@network_app.command("create")
def network_create(
    context: typer.Context,
    name: Network,
    driver: Annotated[str, typer.Option("--driver", "-d", help="bridge, macvlan or ipvlan.")] = "bridge",
    subnet: Annotated[
        list[str] | None, typer.Option("--subnet", help="172.28.0.0/16 or fd00:1::/64; repeatable.")
    ] = None,
    gateway: Annotated[list[str] | None, typer.Option("--gateway", help="One for each subnet.")] = None,
    ip_range: Annotated[
        list[str] | None, typer.Option("--ip-range", help="Give out addresses of this part of a subnet only.")
    ] = None,
    aux_address: Annotated[
        list[str] | None, typer.Option("--aux-address", help="NAME=ADDRESS that is kept free; repeatable.")
    ] = None,
    internal: Annotated[bool, typer.Option("--internal", help="No way out of the network.")] = False,
    ipv4: Annotated[bool, typer.Option("--ipv4/--no-ipv4", help="Give out IPv4 addresses.")] = True,
    ipv6: Annotated[bool, typer.Option("--ipv6/--no-ipv6", help="Give out IPv6 addresses.")] = False,
    attachable: Annotated[
        bool, typer.Option("--attachable", help="Let containers be connected by hand (they always may).")
    ] = False,
    ipam_driver: Annotated[str, typer.Option("--ipam-driver", help="Who gives out addresses: default.")] = (
        "default"
    ),
    ipam_opt: Annotated[
        list[str] | None,
        typer.Option("--ipam-opt", help="com.docker.network.ipam.serial=true: no address twice in a row."),
    ] = None,
    scope: Annotated[str, typer.Option("--scope", help="The machines it is for: local.")] = "local",
    options: Annotated[
        list[str] | None, typer.Option("--opt", "-o", help="NAME=VALUE for the driver.")
    ] = None,
    labels: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; repeatable.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Make a network."""
    _run(
        context,
        "create",
        name=name,
        driver=driver,
        subnets=_words(subnet),
        gateways=_words(gateway),
        ranges=_words(ip_range),
        aux=_words(aux_address),
        internal=internal,
        ipv4=ipv4,
        ipv6=ipv6,
        ipam_driver=ipam_driver,
        ipam_options=_words(ipam_opt),
        scope=scope,
        options=_words(options),
        labels=_words(labels),
    )


@network_app.command("rm")
def network_remove(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="No error for what is not there.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove networks that no container uses."""
    _run(context, "remove", names=tuple(names), force=force)


@network_app.command("prune")
def network_prune(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="until= (24h, or a time), label= or label!=, repeatable."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Remove all networks that no container uses."""
    _run(context, "prune", force=force, filters=_words(filters))


@network_app.command("connect")
def network_connect(
    context: typer.Context,
    network: Network,
    container: Container,
    ip: Annotated[str, typer.Option("--ip", help="IPv4 address.")] = "",
    ip6: Annotated[str, typer.Option("--ip6", help="IPv6 address.")] = "",
    alias: Annotated[list[str] | None, typer.Option("--alias", help="Another name for DNS.")] = None,
    link_local_ip: Annotated[
        list[str] | None, typer.Option("--link-local-ip", help="Another, link-local address.")
    ] = None,
    gw_priority: Annotated[
        int, typer.Option("--gw-priority", help="The default route leads through the highest.")
    ] = 0,
    link: Annotated[
        list[str] | None,
        typer.Option("--link", help="CONTAINER[:ALIAS]: its name, for this container only; repeatable."),
    ] = None,
    driver_opt: Annotated[
        list[str] | None, typer.Option("--driver-opt", help="NAME=VALUE for the interface; repeatable.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Put a container into a network, also while it runs."""
    _run(
        context,
        "connect",
        network=network,
        container=container,
        ip=ip,
        ip6=ip6,
        aliases=_words(alias),
        link_local=_words(link_local_ip),
        gw_priority=gw_priority,
        links=_words(link),
        options=_words(driver_opt),
    )


@network_app.command("disconnect")
def network_disconnect(
    context: typer.Context,
    network: Network,
    container: Container,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="No error if it is not there (any more).")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Take a container out of a network, also while it runs."""
    _run(context, "disconnect", network=network, container=container, force=force)
