"""The options of commands about containers' files; see `app`."""

from typing import Annotated

import typer

from composer.cli.app import Service, Services, _run, app
from composer.cli.dry_run import DryRun

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
    service: Service,
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


@app.command()
def publish(
    context: typer.Context,
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY[:TAG]")],
    resolve_image_digests: Annotated[
        bool, typer.Option("--resolve-image-digests", help="Pin images to what their tags mean now.")
    ] = False,
    with_env: Annotated[
        bool, typer.Option("--with-env", help="Publish environment variables and env files too.")
    ] = False,
    oci_version: Annotated[
        str, typer.Option("--oci-version", help="1.0 for registries that know no artifacts, or 1.1.")
    ] = "",
    app_images: Annotated[
        bool, typer.Option("--app", help="Send the services' images into the repository too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Yes to all questions.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Publish the project's files in a registry, for `-f oci://REPOSITORY`."""
    parameters = locals()
    parameters["app"] = parameters.pop("app_images")
    _run(context, "publish", parameters)
