"""The options of more commands about a project's containers; see `app`."""

from typing import Annotated

import typer

from composer.cli.app import RemoveOrphans, Service, Services, Timeout, _run, app
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only names.")]


@app.command()
def create(
    context: typer.Context,
    services: Services = None,
    build: Annotated[bool, typer.Option("--build", help="Build images first.")] = False,
    no_build: Annotated[bool, typer.Option("--no-build", help="Build nothing.")] = False,
    force_recreate: Annotated[
        bool, typer.Option("--force-recreate", help="Make containers anew though nothing changed.")
    ] = False,
    no_recreate: Annotated[
        bool, typer.Option("--no-recreate", help="Keep containers that exist as they are.")
    ] = False,
    pull: Annotated[str, typer.Option("--pull", help="always, missing, never or build.")] = "",
    quiet_pull: Annotated[bool, typer.Option("--quiet-pull", help="No progress of pulls.")] = False,
    scale: Annotated[list[str] | None, typer.Option("--scale", help="SERVICE=NUMBER")] = None,
    remove_orphans: RemoveOrphans = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Yes to all questions.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Make containers without starting them."""
    _run(context, "create", locals())


@app.command()
def scale(
    context: typer.Context,
    numbers: Annotated[list[str], typer.Argument(metavar="SERVICE=NUMBER...")],
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Do not start what they depend on.")] = False,
    timeout: Timeout = None,
    dry_run: DryRun = False,
) -> None:
    """Change how many containers services have."""
    _run(context, "scale", locals())


@app.command()
def rm(
    context: typer.Context,
    services: Services = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
    stop: Annotated[bool, typer.Option("--stop", "-s", help="Stop them first if they run.")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Their anonymous volumes too.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove stopped containers."""
    _run(context, "rm", locals())


@app.command()
def pause(context: typer.Context, services: Services = None, dry_run: DryRun = False) -> None:
    """Freeze all processes of containers."""
    _run(context, "pause", locals())


@app.command()
def unpause(context: typer.Context, services: Services = None, dry_run: DryRun = False) -> None:
    """Let the processes of containers go on."""
    _run(context, "unpause", locals())


@app.command()
def wait(
    context: typer.Context,
    services: Annotated[list[str], typer.Argument(metavar="SERVICE...")],
    down_project: Annotated[
        bool, typer.Option("--down-project", help="Take the project down when the first container ends.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Wait until containers end and print their exit codes."""
    _run(context, "wait", locals())


@app.command()
def top(context: typer.Context, services: Services = None) -> None:
    """List the processes of containers."""
    _run(context, "top", locals())


@app.command()
def stats(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="[SERVICE]")] = "",
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped containers too.")] = False,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print once.")] = False,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not shorten ids.")] = False,
    format: Format = "table",
) -> None:
    """Show what containers use."""
    _run(context, "stats", locals())


@app.command()
def events(
    context: typer.Context,
    services: Services = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    since: Annotated[
        str,
        typer.Option("--since", help="Those of the past too, from a time on: 2026-01-02T13:23:37Z, or 42m."),
    ] = "",
    until: Annotated[str, typer.Option("--until", help="Up to a time.")] = "",
) -> None:
    """Show what happens to containers as it happens."""
    _run(context, "events", locals())


@app.command()
def ls(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped projects too.")] = False,
    quiet: Quiet = False,
    format: Format = "table",
    filter: Annotated[str, typer.Option("--filter", help="name=TEXT")] = "",
) -> None:
    """List the projects of this machine."""
    _run(context, "ls", locals())


@app.command()
def volumes(
    context: typer.Context, services: Services = None, quiet: Quiet = False, format: Format = "table"
) -> None:
    """List the project's volumes."""
    _run(context, "volumes", locals())


@app.command()
def plan(
    context: typer.Context,
    services: Services = None,
    format: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 2 if there is something to change.")
    ] = False,
    force_recreate: Annotated[
        bool, typer.Option("--force-recreate", help="As if all containers had to be made anew.")
    ] = False,
    remove_orphans: RemoveOrphans = False,
) -> None:
    """Show what `up` would do, and why."""
    _run(context, "plan", locals())


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    context: typer.Context,
    service: Service,
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND] [ARG...]")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Run in the background and print the container's id.")
    ] = False,
    rm: Annotated[bool, typer.Option("--rm", help="Remove the container when it ends.")] = False,
    name: Annotated[str, typer.Option("--name", help="Name of the container.")] = "",
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE to set.")] = None,
    env_from_file: Annotated[
        list[str] | None, typer.Option("--env-from-file", help="Set the variables of a file.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="NAME=VALUE to add.")] = None,
    entrypoint: Annotated[
        str | None, typer.Option("--entrypoint", help="Instead of the service's; its command is left out.")
    ] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="As this user.")] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="In this folder.")] = "",
    volume: Annotated[
        list[str] | None, typer.Option("--volume", "-v", help="Another mount: SOURCE:TARGET[:OPTIONS].")
    ] = None,
    publish: Annotated[
        list[str] | None, typer.Option("--publish", "-p", help="A port for the host: [[IP:]PORT:]PORT.")
    ] = None,
    service_ports: Annotated[
        bool, typer.Option("--service-ports", "-P", help="Publish the service's ports.")
    ] = False,
    use_aliases: Annotated[
        bool, typer.Option("--use-aliases", help="Answer to the service's names in its networks.")
    ] = False,
    cap_add: Annotated[list[str] | None, typer.Option("--cap-add", help="A capability to add.")] = None,
    cap_drop: Annotated[list[str] | None, typer.Option("--cap-drop", help="One to take away.")] = None,
    no_tty: Annotated[
        bool, typer.Option("--no-tty", "--no-TTY", "-T", help="No terminal even if there is one.")
    ] = False,
    tty: Annotated[
        bool, typer.Option("--tty", "-t", help="Only with a terminal; without this option, if there is one.")
    ] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive/--no-interactive", "-i", help="Pass on what is typed or piped in.")
    ] = True,
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Do not start what it depends on.")] = False,
    build: Annotated[bool, typer.Option("--build", help="Build images first.")] = False,
    pull: Annotated[str, typer.Option("--pull", help="always, missing or never.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    quiet_build: Annotated[bool, typer.Option("--quiet-build", help="No progress of builds.")] = False,
    quiet_pull: Annotated[bool, typer.Option("--quiet-pull", help="No progress of pulls.")] = False,
    remove_orphans: RemoveOrphans = False,
    dry_run: DryRun = False,
) -> None:
    """Run one command in a new container of a service."""
    _run(context, "run", locals())


@app.command()
def attach(
    context: typer.Context,
    service: Service,
    detach_keys: Annotated[
        str, typer.Option("--detach-keys", help="Keys that leave a terminal (ctrl-p,ctrl-q).")
    ] = "",
    number: Annotated[int, typer.Option("--index", help="The container's number.")] = 0,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Only show what it prints.")] = False,
    sig_proxy: Annotated[
        bool, typer.Option("--sig-proxy/--no-sig-proxy", help="Pass signals on to the program.")
    ] = True,
    dry_run: DryRun = False,
) -> None:
    """Attach to the running program of a service."""
    _run(context, "attach", locals())
