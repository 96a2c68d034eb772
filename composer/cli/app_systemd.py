"""The options of `pycompose systemd …`; see `app`."""

import importlib
from typing import Annotated, Any

import typer

from composer.cli.context import Context
from composer.cli.dry_run import DryRun

systemd_app = typer.Typer(
    help="A unit that brings the project back after a boot.", no_args_is_help=True, rich_markup_mode=None
)

Directory = Annotated[
    str,
    typer.Option(
        "--directory", help="Where the unit is, instead of systemd's own folder; systemd is not told."
    ),
]


def _run(context: typer.Context, action: str, **parameters: Any) -> None:
    module = importlib.import_module("composer.cli.systemd")
    with Context(context.obj) as opened:
        raise typer.Exit(getattr(module, action)(opened, **parameters))


@systemd_app.command()
def install(
    context: typer.Context,
    directory: Directory = "",
    show: Annotated[bool, typer.Option("--print", help="Print the unit and do nothing.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Make and enable a unit for the project."""
    _run(context, "install", directory=directory, show=show)


@systemd_app.command()
def remove(context: typer.Context, directory: Directory = "", dry_run: DryRun = False) -> None:
    """Disable and remove the unit; containers go on."""
    _run(context, "remove", directory=directory)


@systemd_app.command()
def resume(context: typer.Context, dry_run: DryRun = False) -> None:
    """Start what ran before the machine went down, by restart policies. The unit does this."""
    _run(context, "resume")


@systemd_app.command()
def suspend(context: typer.Context, dry_run: DryRun = False) -> None:
    """Stop the containers so that `resume` brings them back. The unit does this."""
    _run(context, "suspend")
