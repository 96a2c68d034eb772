"""The options of `pycompose container …`, and of `inspect`; see `app`."""

import importlib
from typing import Annotated, Any

import typer

from composer.cli.app import Timeout, _run, app
from composer.cli.context import Context
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format, InspectFormat

container_app = typer.Typer(
    help="Containers by name or id, of any project or none.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(container_app, name="container")

Names = Annotated[list[str], typer.Argument(metavar="CONTAINER...", help="Names or ids.")]
Name = Annotated[str, typer.Argument(metavar="CONTAINER", help="Name or id.")]


def _call(context: typer.Context, action: str, **parameters: Any) -> None:
    function = getattr(importlib.import_module("composer.cli.container"), action)
    with Context(context.obj) as opened:
        raise typer.Exit(function(opened, **parameters))


@container_app.command("run", context_settings={"allow_interspersed_args": False})
def container_run(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="IMAGE")],
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND] [ARG...]")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Pass on what is typed or piped in.")
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")] = False,
    rm: Annotated[bool, typer.Option("--rm", help="Remove the container when it ends.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background and print the container's id.")
    ] = False,
    name: Annotated[str, typer.Option("--name", help="Name of the container.")] = "",
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE to set.")] = None,
    env_file: Annotated[
        list[str] | None, typer.Option("--env-file", help="Set the variables of a file.")
    ] = None,
    volume: Annotated[
        list[str] | None, typer.Option("--volume", "-v", help="A mount: SOURCE:TARGET[:OPTIONS].")
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option("--mount", help="A mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]."),
    ] = None,
    publish: Annotated[
        list[str] | None, typer.Option("--publish", "-p", help="A port for the host: [[IP:]PORT:]PORT.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network", help="A network, or host, none, container:NAME; `bridge` if none is given."
        ),
    ] = None,
    network_alias: Annotated[
        list[str] | None, typer.Option("--network-alias", help="Another name in its networks.")
    ] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="As this user.")] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="In this folder.")] = "",
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Instead of the image's; its command is left out.")
    ] = None,
    memory: Annotated[str, typer.Option("--memory", "-m", help="Most memory, such as 512m.")] = "",
    cpus: Annotated[str, typer.Option("--cpus", help="Most processors, such as 1.5.")] = "",
    cap_add: Annotated[list[str] | None, typer.Option("--cap-add", help="A capability to add.")] = None,
    cap_drop: Annotated[list[str] | None, typer.Option("--cap-drop", help="One to take away.")] = None,
    privileged: Annotated[bool, typer.Option("--privileged", help="All capabilities and devices.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="The root file system read-only.")] = False,
    init: Annotated[bool, typer.Option("--init", help="An init that reaps and passes signals on.")] = False,
    hostname: Annotated[str, typer.Option("--hostname", "-h", help="Its host name.")] = "",
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="NAME=VALUE to add.")] = None,
    restart: Annotated[
        str, typer.Option("--restart", help="no, always, unless-stopped or on-failure[:NUMBER].")
    ] = "no",
    pull: Annotated[str, typer.Option("--pull", help="always, missing or never.")] = "missing",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress of pulls.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Run a program in a new container of an image."""
    _run(context, "container_run", locals())


@container_app.command("ls")
def container_list(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped ones too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")] = False,
    format: Format = "table",
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not shorten.")] = False,
) -> None:
    """List containers."""
    _call(context, "list_containers", all=all, quiet=quiet, format=format, no_trunc=no_trunc)


@container_app.command("inspect")
def container_inspect(context: typer.Context, names: Names, format: InspectFormat = "") -> None:
    """Print all that is known of containers, as JSON."""
    _call(context, "inspect", names=names, format=format)


@container_app.command("logs")
def container_logs(
    context: typer.Context,
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are printed.")] = False,
    tail: Annotated[str, typer.Option("--tail", "-n", help="How many of the last lines, or all.")] = "all",
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Show when lines were printed.")
    ] = False,
    since: Annotated[str, typer.Option("--since", help="From a time on: 2026-01-02T13:23:37Z, or 42m.")] = "",
    until: Annotated[str, typer.Option("--until", help="Up to a time.")] = "",
) -> None:
    """Show what a container has printed."""
    from composer.cli.container import LogOptions

    _call(context, "logs", name=name, options=LogOptions(follow, tail, timestamps, since, until))


@container_app.command("exec", context_settings={"allow_interspersed_args": False})
def container_exec(
    context: typer.Context,
    name: Name,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND [ARG...]")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE to set.")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Pass on what is typed or piped in.")
    ] = False,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")] = False,
    privileged: Annotated[bool, typer.Option("--privileged", help="With all capabilities.")] = False,
    user: Annotated[str, typer.Option("--user", "-u", help="As this user.")] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="In this folder.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Run a command in a running container."""
    from runtime import ExecRequest

    request = ExecRequest(tuple(command), tuple(env or ()), user, workdir, tty, privileged)
    _call(context, "exec", name=name, request=request, detach=detach, interactive=interactive)


@container_app.command("attach")
def container_attach(
    context: typer.Context,
    name: Name,
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Keys that leave a terminal (ctrl-p,ctrl-q).")
    ] = "",
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Only show what it prints.")] = False,
    sig_proxy: Annotated[
        bool, typer.Option("--sig-proxy/--no-sig-proxy", help="Pass signals on to the program.")
    ] = True,
    dry_run: DryRun = False,
) -> None:
    """Attach to a running program."""
    _call(context, "attach", name=name, detach_keys=detach_keys, no_stdin=no_stdin, sig_proxy=sig_proxy)


@container_app.command("start")
def container_start(context: typer.Context, names: Names, dry_run: DryRun = False) -> None:
    """Start containers."""
    _call(context, "start", names=names)


@container_app.command("stop")
def container_stop(
    context: typer.Context, names: Names, timeout: Timeout = None, dry_run: DryRun = False
) -> None:
    """Stop containers."""
    _call(context, "stop", names=names, timeout=timeout)


@container_app.command("kill")
def container_kill(
    context: typer.Context,
    names: Names,
    signal: Annotated[str, typer.Option("--signal", "-s", help="Signal to send.")] = "SIGKILL",
    dry_run: DryRun = False,
) -> None:
    """Send a signal to containers."""
    _call(context, "kill", names=names, signal=signal)


@container_app.command("rm")
def container_remove(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="Kill it first if it runs.")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Its anonymous volumes too.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove containers."""
    _call(context, "remove", names=names, force=force, volumes=volumes)


@app.command()
def inspect(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or ids.")],
    type: Annotated[str, typer.Option("--type", help="container, image, network or volume.")] = "",
    format: InspectFormat = "",
) -> None:
    """Print all that is known of containers, images, networks or volumes, as JSON."""
    _run(context, "inspect", locals())
