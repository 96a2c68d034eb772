"""The options of `pycompose volume …` and `pycompose system …`; see `app`."""

import importlib
from typing import Annotated, Any

import typer

from composer.cli.app import app
from composer.cli.context import Context
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format, InspectFormat

volume_app = typer.Typer(help="Volumes.", no_args_is_help=True, rich_markup_mode=None)
system_app = typer.Typer(
    help="The engine as a whole: sizes, facts, tidying up.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(volume_app, name="volume")
app.add_typer(system_app, name="system")

Names = Annotated[list[str], typer.Argument(metavar="VOLUME...")]
Name = Annotated[str, typer.Argument(metavar="VOLUME")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only names.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")]


def _call(module: str, context: typer.Context, action: str, **parameters: Any) -> None:
    function = getattr(importlib.import_module(f"composer.cli.{module}"), action)
    with Context(context.obj) as opened:
        raise typer.Exit(function(opened, **parameters))


@volume_app.command("ls")
def volume_list(
    context: typer.Context,
    quiet: Quiet = False,
    format: Format = "table",
    filters: Annotated[
        list[str] | None, typer.Option("--filter", "-f", help="name=, label= or dangling=true, repeatable.")
    ] = None,
) -> None:
    """List volumes."""
    _call("volume", context, "list_volumes", quiet=quiet, format=format, filters=filters or ())


@volume_app.command("inspect")
def volume_inspect(context: typer.Context, names: Names, format: InspectFormat = "") -> None:
    """Print all that is known of volumes, as JSON."""
    _call("volume", context, "inspect", names=names, format=format)


@volume_app.command("create")
def volume_create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[VOLUME]")] = "",
    labels: Annotated[list[str] | None, typer.Option("--label", help="NAME=VALUE; repeatable.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Make a volume."""
    _call("volume", context, "create", name=name, labels=labels or ())


@volume_app.command("rm")
def volume_remove(
    context: typer.Context,
    names: Names,
    force: Annotated[bool, typer.Option("--force", "-f", help="No error for what is not there.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove volumes that no container uses."""
    _call("volume", context, "remove", names=names, force=force)


@volume_app.command("prune")
def volume_prune(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", "-a", help="Volumes with a name too.")] = False,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Remove anonymous volumes that no container uses."""
    _call("volume", context, "prune", all=all, force=force)


@volume_app.command("export")
def volume_export(
    context: typer.Context,
    name: Name,
    output: Annotated[str, typer.Option("--output", "-o", help="File; standard output if none.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Write what is in a volume as a tar."""
    _call("volume", context, "export", name=name, output=output)


@volume_app.command("import")
def volume_import(
    context: typer.Context,
    name: Name,
    archive: Annotated[str, typer.Argument(metavar="[TAR]", help="File; standard input if none.")] = "-",
    dry_run: DryRun = False,
) -> None:
    """Fill a volume, made if it is not there, from a tar: with all of it or nothing."""
    _call("volume", context, "import_archive", name=name, archive=archive)


@system_app.command("df")
def system_df(context: typer.Context, format: Format = "table") -> None:
    """Show what images, containers, volumes and the build cache take of the disk."""
    _call("system", context, "df", format=format)


@system_app.command("info")
def system_info(
    context: typer.Context,
    format: Annotated[
        str, typer.Option("--format", "-f", help="text, json, or a Go template: '{{.NCPU}}'.")
    ] = "text",
) -> None:
    """Show the engine, the machine, and what of its kernel is used."""
    _call("system", context, "info", format=format)


@system_app.command("prune")
def system_prune(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", "-a", help="All images that no container uses.")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", help="Anonymous volumes too.")] = False,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Remove stopped containers, and networks and unnamed images that nothing uses."""
    _call("system", context, "prune", all=all, volumes=volumes, force=force)
