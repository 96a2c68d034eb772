"""The command line's one definition: what `--help`, completion and the table of the hot commands come from.

A hot command never imports this module; see `hot`. Each command here hands its options to the `run` of the module
of its name.
"""

import importlib
from typing import Annotated, Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]

from composer.cli.app_networks import network_app
from composer.cli.app_systemd import systemd_app
from composer.cli.completion import complete_services, completion_script
from composer.cli.context import Context, GlobalOptions
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format
from composer.version import VERSION

app = typer.Typer(
    name="pycompose",
    help="Run the services of a Compose file on this machine's kernel: no daemon, no other engine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
completion_init()  # the shells that `completion` has scripts for
image_app = typer.Typer(help="Images in the local store.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(image_app, name="image")
app.add_typer(network_app, name="network")
app.add_typer(systemd_app, name="systemd")

Services = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SERVICE...]", help="Only these services.", autocompletion=complete_services),
]
Service = Annotated[str, typer.Argument(metavar="SERVICE", autocompletion=complete_services)]
Timeout = Annotated[
    int | None,
    typer.Option("--timeout", "-t", min=0, help="Seconds to wait for a container to stop before killing it."),
]
RemoveOrphans = Annotated[
    bool, typer.Option("--remove-orphans", help="Remove containers of services that the file does not have.")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pycompose version {VERSION}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", help="Compose file; repeatable, `-` reads standard input."),
    ] = None,
    project_name: Annotated[str, typer.Option("--project-name", "-p", help="Name of the project.")] = "",
    project_directory: Annotated[
        str, typer.Option("--project-directory", help="Folder that relative paths start from.")
    ] = "",
    env_file: Annotated[
        list[str] | None, typer.Option("--env-file", help="Read variables from this file instead of .env.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", help="Activate a profile; `*` = all.")
    ] = None,
    ansi: Annotated[
        str, typer.Option("--ansi", help="Colours: auto, always or never [env: COMPOSE_ANSI].")
    ] = "",
    progress: Annotated[
        str,
        typer.Option("--progress", help="auto, tty, plain, json or quiet [env: COMPOSE_PROGRESS]."),
    ] = "",
    parallel: Annotated[int, typer.Option("--parallel", help="Most containers to work on at once.")] = 0,
    compatibility: Annotated[
        bool, typer.Option("--compatibility", help="Join names with `_` as Docker Compose 1 did.")
    ] = False,
    all_resources: Annotated[
        bool, typer.Option("--all-resources", help="Networks, volumes, … that no service uses too.")
    ] = False,
    dry_run: DryRun = False,
    runtime: Annotated[
        str,
        typer.Option(
            "--runtime",
            help="OCI runtime of services that name none: crun, runc, a path [env: PYCOMPOSE_RUNTIME].",
        ),
    ] = "",
    root: Annotated[
        str, typer.Option("--root", help="Folder of images, volumes and containers [env: PYCOMPOSE_ROOT].")
    ] = "",
    state: Annotated[
        str, typer.Option("--state", help="Folder of what does not survive a reboot [env: PYCOMPOSE_STATE].")
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the release.")
    ] = False,
) -> None:
    context.obj = GlobalOptions(
        file=tuple(file or ()),
        project_name=project_name,
        project_directory=project_directory,
        env_file=tuple(env_file or ()),
        profile=tuple(profile or ()),
        ansi=ansi,
        progress=progress,
        parallel=parallel,
        compatibility=compatibility,
        all_resources=all_resources,
        dry_run=dry_run,
        runtime=runtime,
        root=root,
        state=state,
    )


def _run(context: typer.Context, command: str, parameters: dict[str, Any]) -> None:
    """Hand a command's parameters to the module of its name."""
    for name in ("context", "dry_run"):
        parameters.pop(name, None)
    module = importlib.import_module(f"composer.cli.{command}")
    arguments = module.Arguments(
        **{
            name: tuple(value or ()) if value is None or isinstance(value, list) else value
            for name, value in parameters.items()
            if not (value is None and module.Arguments._field_defaults.get(name, 0) is None)
        }
    )
    with Context(context.obj) as opened:
        raise typer.Exit(module.run(opened, arguments))


@app.command()
def up(
    context: typer.Context,
    services: Services = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not follow the logs.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all are running or healthy; implies --detach.")
    ] = False,
    wait_timeout: Annotated[
        int | None, typer.Option("--wait-timeout", min=0, help="Most seconds that --wait may take.")
    ] = None,
    scale: Annotated[list[str] | None, typer.Option("--scale", help="SERVICE=NUMBER of containers.")] = None,
    force_recreate: Annotated[
        bool, typer.Option("--force-recreate", help="Make containers anew though nothing changed.")
    ] = False,
    no_recreate: Annotated[
        bool, typer.Option("--no-recreate", help="Leave existing containers though something changed.")
    ] = False,
    no_deps: Annotated[
        bool, typer.Option("--no-deps", help="Do not start what the services depend on.")
    ] = False,
    no_start: Annotated[
        bool, typer.Option("--no-start", help="Make the containers, do not start them.")
    ] = False,
    remove_orphans: RemoveOrphans = False,
    renew_anon_volumes: Annotated[
        bool, typer.Option("--renew-anon-volumes", "-V", help="Do not take over anonymous volumes.")
    ] = False,
    timeout: Timeout = None,
    no_log_prefix: Annotated[
        bool, typer.Option("--no-log-prefix", help="No names before log lines.")
    ] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Show when lines were printed.")] = False,
    build: Annotated[bool, typer.Option("--build", help="Build images before starting.")] = False,
    no_build: Annotated[bool, typer.Option("--no-build", help="Build nothing.")] = False,
    pull: Annotated[
        str, typer.Option("--pull", help="When to pull images: always, missing, never or build.")
    ] = "",
    quiet_pull: Annotated[bool, typer.Option("--quiet-pull", help="No progress of pulls.")] = False,
    quiet_build: Annotated[bool, typer.Option("--quiet-build", help="No progress of builds.")] = False,
    always_recreate_deps: Annotated[
        bool, typer.Option("--always-recreate-deps", help="Make what the services depend on anew.")
    ] = False,
    abort_on_container_exit: Annotated[
        bool, typer.Option("--abort-on-container-exit", help="Stop all when one container ends.")
    ] = False,
    abort_on_container_failure: Annotated[
        bool, typer.Option("--abort-on-container-failure", help="Stop all when one container fails.")
    ] = False,
    exit_code_from: Annotated[
        str,
        typer.Option(
            "--exit-code-from",
            metavar="SERVICE",
            help="End with this service's exit code; stops all when one container ends.",
        ),
    ] = "",
    attach: Annotated[
        list[str] | None, typer.Option("--attach", metavar="SERVICE", help="Show only the logs of these.")
    ] = None,
    no_attach: Annotated[
        list[str] | None,
        typer.Option("--no-attach", metavar="SERVICE", help="Do not show the logs of these."),
    ] = None,
    attach_dependencies: Annotated[
        bool,
        typer.Option("--attach-dependencies", help="Show the logs of what the services depend on too."),
    ] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what is done, and why, before.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Bring in what changes on this machine: see `watch`.")
    ] = False,
    menu: Annotated[
        bool | None,
        typer.Option("--menu/--no-menu", help="Keys for those who look on [env: COMPOSE_MENU]."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Yes to all questions.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Make and start containers."""
    _run(context, "up", locals())


@app.command()
def down(
    context: typer.Context,
    services: Services = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", "-v", help="Remove named volumes of the file and anonymous ones too.")
    ] = False,
    remove_orphans: RemoveOrphans = False,
    rmi: Annotated[
        str,
        typer.Option("--rmi", help="Remove images too: all, or local (built, without a name of their own)."),
    ] = "",
    timeout: Timeout = None,
    dry_run: DryRun = False,
) -> None:
    """Stop and remove containers and networks."""
    _run(context, "down", locals())


@app.command()
def ps(
    context: typer.Context,
    services: Services = None,
    all: Annotated[bool, typer.Option("--all", "-a", help="Stopped containers too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")] = False,
    list_services: Annotated[bool, typer.Option("--services", help="Only names of services.")] = False,
    format: Format = "table",
    filter: Annotated[str, typer.Option("--filter", help="status=STATUS")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only containers of this status.")
    ] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not shorten commands.")] = False,
    orphans: Annotated[
        bool,
        typer.Option("--orphans/--no-orphans", help="Those of services that the file does not have too."),
    ] = True,
) -> None:
    """List containers."""
    _run(context, "ps", locals())


@app.command()
def logs(
    context: typer.Context,
    services: Services = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are printed.")] = False,
    tail: Annotated[str, typer.Option("--tail", "-n", help="How many of the last lines, or all.")] = "all",
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Show when lines were printed.")
    ] = False,
    since: Annotated[str, typer.Option("--since", help="From a time on: 2026-01-02T13:23:37Z, or 42m.")] = "",
    until: Annotated[str, typer.Option("--until", help="Up to a time.")] = "",
    no_log_prefix: Annotated[bool, typer.Option("--no-log-prefix", help="No names before lines.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours.")] = False,
    number: Annotated[int, typer.Option("--index", help="Only the container of this number.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One object per line.")] = False,
) -> None:
    """Show what containers have printed."""
    _run(context, "logs", locals())


@app.command(context_settings={"allow_interspersed_args": False})
def exec(
    context: typer.Context,
    service: Service,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND [ARG...]")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Run in the background.")] = False,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE to set.")] = None,
    number: Annotated[int, typer.Option("--index", help="The container's number.")] = 0,
    no_tty: Annotated[
        bool, typer.Option("--no-tty", "--no-TTY", "-T", help="No terminal even if there is one.")
    ] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive/--no-interactive", "-i", help="Pass on what is typed or piped in.")
    ] = True,
    tty: Annotated[
        bool, typer.Option("--tty", "-t", help="A terminal, if there is one; as without this option.")
    ] = False,
    privileged: Annotated[bool, typer.Option("--privileged", help="With all capabilities.")] = False,
    user: Annotated[str, typer.Option("--user", "-u", help="As this user.")] = "",
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="In this folder.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Run a command in a running container."""
    _run(context, "exec", locals())


@app.command()
def start(context: typer.Context, services: Services = None, dry_run: DryRun = False) -> None:
    """Start containers that exist."""
    _run(context, "start", locals())


@app.command()
def stop(
    context: typer.Context, services: Services = None, timeout: Timeout = None, dry_run: DryRun = False
) -> None:
    """Stop containers without removing them."""
    _run(context, "stop", locals())


@app.command()
def restart(
    context: typer.Context,
    services: Services = None,
    timeout: Timeout = None,
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Do not restart dependent services.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Stop and start containers."""
    _run(context, "restart", locals())


@app.command()
def port(
    context: typer.Context,
    service: Service,
    private_port: Annotated[str, typer.Argument(metavar="PRIVATE_PORT")],
    protocol: Annotated[str, typer.Option("--protocol", help="tcp, udp or sctp.")] = "tcp",
    number: Annotated[int, typer.Option("--index", help="The container's number.")] = 0,
) -> None:
    """Print the host's address that leads to a port of a container."""
    _run(context, "port", locals())


@app.command()
def kill(
    context: typer.Context,
    services: Services = None,
    signal: Annotated[str, typer.Option("--signal", "-s", help="Signal to send.")] = "SIGKILL",
    remove_orphans: RemoveOrphans = False,
    dry_run: DryRun = False,
) -> None:
    """Send a signal to running containers."""
    _run(context, "kill", locals())


@app.command()
def config(
    context: typer.Context,
    services: Services = None,
    format: Annotated[str, typer.Option("--format", help="yaml (default) or json.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only check.")] = False,
    list_services: Annotated[bool, typer.Option("--services", help="Names of services.")] = False,
    list_volumes: Annotated[bool, typer.Option("--volumes", help="Names of volumes.")] = False,
    list_networks: Annotated[bool, typer.Option("--networks", help="Names of networks.")] = False,
    list_images: Annotated[bool, typer.Option("--images", help="Images.")] = False,
    list_profiles: Annotated[bool, typer.Option("--profiles", help="Names of profiles.")] = False,
    list_models: Annotated[bool, typer.Option("--models", help="Models.")] = False,
    list_hashes: Annotated[
        str, typer.Option("--hash", metavar="SERVICE[,SERVICE]", help="Hashes of services; `*` = all.")
    ] = "",
    list_environment: Annotated[
        bool, typer.Option("--environment", help="Variables that references are replaced from.")
    ] = False,
    list_variables: Annotated[
        bool, typer.Option("--variables", help="Variables that the files name, with their defaults.")
    ] = False,
    explain: Annotated[
        str, typer.Option("--explain", metavar="PATH", help="Where a value comes from: services.web.image")
    ] = "",
    origins: Annotated[
        bool, typer.Option("--origins", help="Say at every line which file and line it comes from.")
    ] = False,
    no_interpolate: Annotated[
        bool, typer.Option("--no-interpolate", help="Leave variables as they are.")
    ] = False,
    no_normalize: Annotated[bool, typer.Option("--no-normalize", help="Leave out what is implied.")] = False,
    no_path_resolution: Annotated[
        bool, typer.Option("--no-path-resolution", help="Leave relative paths as they are.")
    ] = False,
    no_env_resolution: Annotated[
        bool, typer.Option("--no-env-resolution", help="Do not read env_file.")
    ] = False,
    no_consistency: Annotated[
        bool, typer.Option("--no-consistency", help="Do not check references.")
    ] = False,
    resolve_image_digests: Annotated[
        bool, typer.Option("--resolve-image-digests", help="Print images with the digest of their tag.")
    ] = False,
    lock_image_digests: Annotated[
        bool, typer.Option("--lock-image-digests", help="Print an override file with the images' digests.")
    ] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="Write to this file.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Check the file and print it in its canonical form."""
    _run(context, "config", locals())


@app.command()
def graph(
    context: typer.Context,
    services: Services = None,
    format: Annotated[str, typer.Option("--format", help="tree, dot, mermaid, svg or json.")] = "tree",
    output: Annotated[str, typer.Option("--output", "-o", help="Write to this file.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Draw which service depends on which."""
    _run(context, "graph", locals())


@app.command()
def version(
    context: typer.Context,
    short: Annotated[bool, typer.Option("--short", help="Only the number.")] = False,
    format: Annotated[str, typer.Option("--format", "-f", help="pretty, json, or a Go template.")] = "pretty",
) -> None:
    """Print the release."""
    _run(context, "version", locals())


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print what makes a shell complete commands, options and services."""
    typer.echo(completion_script(shell))


# More commands, in files of their own; importing these adds them to `app`.
importlib.import_module("composer.cli.app_containers")
importlib.import_module("composer.cli.app_files")
importlib.import_module("composer.cli.app_images")
importlib.import_module("composer.cli.app_lifecycle")
importlib.import_module("composer.cli.app_volumes")
