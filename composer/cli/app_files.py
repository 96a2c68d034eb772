"""The options of commands about containers' files; see `app`."""

from typing import Annotated

import typer

from composer.cli.app import DryRun, Services, _run, app

Number = Annotated[int, typer.Option("--index", help="The container's number.")]


@app.command()
def cp(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="[SERVICE:]SOURCE", help="`-` reads a tar from stdin.")],
    destination: Annotated[
        str, typer.Argument(metavar="[SERVICE:]DESTINATION", help="`-` writes a tar to stdout.")
    ],
    archive: Annotated[
        bool, typer.Option("--archive", "-a", help="Keep owners and attributes of what comes out too.")
    ] = False,
    follow_link: Annotated[
        bool, typer.Option("--follow-link", "-L", help="Copy what a symbolic link leads to.")
    ] = False,
    number: Number = 0,
    all: Annotated[bool, typer.Option("--all", help="Containers of `run` too.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Copy files between this machine and containers."""
    _run(context, "cp", locals())


@app.command()
def export(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="SERVICE")],
    output: Annotated[str, typer.Option("--output", "-o", help="File; standard output if none.")] = "",
    number: Number = 0,
    dry_run: DryRun = False,
) -> None:
    """Write a container's file system as a tar."""
    _run(context, "export", locals())


@app.command()
def watch(
    context: typer.Context,
    services: Services = None,
    no_up: Annotated[bool, typer.Option("--no-up", help="Do not build and start them first.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune/--no-prune", help="Remove images that a build has left without a name.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress of builds.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Bring what changes on this machine into running services (`develop.watch`)."""
    _run(context, "watch", locals())
