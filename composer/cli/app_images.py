"""The command line's definition, continued: images, registries, builds. Imported by `app`, which it extends."""

import importlib
from typing import Annotated, Any

import typer

from composer.cli.app import Service, Services, _run, app, image_app
from composer.cli.context import Context
from composer.cli.dry_run import DryRun
from composer.cli.format_options import Format, InspectFormat

Names = Annotated[list[str], typer.Argument(metavar="NAME...")]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Platform = Annotated[str, typer.Option("--platform", help="For this platform, such as linux/arm64.")]
Registry = Annotated[
    str, typer.Argument(metavar="[REGISTRY]", help="Host of the registry; Docker Hub if none.")
]


def _run_in(module: str, context: typer.Context, action: str, **parameters: Any) -> None:
    function = getattr(importlib.import_module(f"composer.cli.{module}"), action)
    with Context(context.obj) as opened:
        raise typer.Exit(function(opened, **parameters))


@image_app.command("ls")
def image_list(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME[:TAG]]")] = "",
    all: Annotated[bool, typer.Option("--all", "-a", help="Images without a name too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")] = False,
    digests: Annotated[bool, typer.Option("--digests", help="The registry's digests too.")] = False,
    format: Format = "table",
) -> None:
    """List images."""
    _run_in("image", context, "list_images", quiet=quiet, format=format, all=all, digests=digests, name=name)


@image_app.command("rm")
def image_remove(
    context: typer.Context,
    names: Names,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="All names of an id; what is not there is fine.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove images that no container uses."""
    _run_in("image", context, "remove", names=tuple(names), force=force)


@image_app.command("inspect")
def image_inspect(context: typer.Context, names: Names, format: InspectFormat = "") -> None:
    """Print all that is known of images, as JSON."""
    _run_in("image", context, "inspect", names=tuple(names), format=format)


@image_app.command("history")
def image_history(
    context: typer.Context,
    name: Name,
    format: Format = "table",
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Do not shorten.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the id.")] = False,
) -> None:
    """Show the steps that made an image."""
    _run_in("image", context, "history", name=name, format=format, no_trunc=no_trunc, quiet=quiet)


@image_app.command("tag")
def image_tag(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="NAME")],
    target: Annotated[str, typer.Argument(metavar="NEW-NAME[:TAG]")],
    dry_run: DryRun = False,
) -> None:
    """Give an image one more name."""
    _run_in("image", context, "tag", source=source, target=target)


@image_app.command("prune")
def image_prune(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", "-a", help="All that no container uses.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
    build_cache: Annotated[
        bool,
        typer.Option("--build-cache", help="The whole build cache too; else what was not used for 30 days."),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Remove images without a name, what killed pulls left, and old build cache."""
    _run_in("image", context, "prune", all=all, force=force, build_cache=build_cache)


@image_app.command("pull")
def image_pull(
    context: typer.Context,
    names: Names,
    platform: Platform = "",
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Bring images from their registries."""
    _run_in("image_transfer", context, "pull", names=tuple(names), platform=platform, quiet=quiet)


@image_app.command("push")
def image_push(context: typer.Context, names: Names, quiet: Quiet = False, dry_run: DryRun = False) -> None:
    """Send images to their registries."""
    _run_in("image_transfer", context, "push", names=tuple(names), quiet=quiet)


@image_app.command("import")
def image_import(
    context: typer.Context,
    archive: Annotated[
        str, typer.Argument(metavar="TAR", help="Root filesystem as a tar file; `-` = stdin.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME[:TAG]")],
    change: Annotated[
        list[str] | None, typer.Option("--change", "-c", help='Dockerfile instruction, such as CMD ["sh"].')
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="For the image's history.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Make an image from a tar of a root filesystem."""
    changes = tuple(change or ())
    _run_in(
        "image_transfer",
        context,
        "import_archive",
        archive=archive,
        name=name,
        changes=changes,
        message=message,
    )


@image_app.command("bootstrap")
def image_bootstrap(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="debian:bookworm-slim, ubuntu:noble, ...")],
    include: Annotated[
        list[str] | None, typer.Option("--include", help="Packages to install as well; repeatable.")
    ] = None,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Make a Debian or Ubuntu base image from this machine's package sources."""
    _run_in("image_transfer", context, "bootstrap", name=name, include=tuple(include or ()), quiet=quiet)


@image_app.command("load")
def image_load(
    context: typer.Context,
    archive: Annotated[
        str,
        typer.Option("--input", "-i", help="File or OCI layout; standard input if none."),
    ] = "-",
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Bring in the images of a saved archive."""
    _run_in("image_transfer", context, "load", archive=archive, quiet=quiet)


@image_app.command("save")
def image_save(
    context: typer.Context,
    names: Names,
    output: Annotated[str, typer.Option("--output", "-o", help="File; standard output if none.")] = "",
    format: Annotated[
        str, typer.Option("--format", help="docker-archive, oci-archive or oci-dir.")
    ] = "docker-archive",
    dry_run: DryRun = False,
) -> None:
    """Write images to an archive."""
    _run_in("image_transfer", context, "save", names=tuple(names), output=output, format=format)


@image_app.command("export")
def image_export(
    context: typer.Context,
    name: Name,
    output: Annotated[str, typer.Option("--output", "-o", help="File; standard output if none.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Write an image's root filesystem as a plain tar."""
    _run_in("image_transfer", context, "export", name=name, output=output)


@app.command()
def login(
    context: typer.Context,
    registry: Registry = "",
    username: Annotated[str, typer.Option("--username", "-u", help="User name.")] = "",
    password: Annotated[
        str, typer.Option("--password", "-p", help="Password; others on this machine can see it.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Log in to a registry."""
    _run_in(
        "image_transfer",
        context,
        "login",
        registry=registry,
        username=username,
        password=password,
        password_stdin=password_stdin,
    )


@app.command()
def logout(context: typer.Context, registry: Registry = "", dry_run: DryRun = False) -> None:
    """Forget the password of a registry."""
    _run_in("image_transfer", context, "logout", registry=registry)


@app.command()
def build(
    context: typer.Context,
    services: Services = None,
    build_arg: Annotated[
        list[str] | None, typer.Option("--build-arg", help="NAME=VALUE for an ARG of the Dockerfile.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Do every step anew.")] = False,
    pull: Annotated[bool, typer.Option("--pull", help="Ask the registries for newer base images.")] = False,
    push: Annotated[bool, typer.Option("--push", help="Push what was built.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the ids.")] = False,
    with_dependencies: Annotated[
        bool, typer.Option("--with-dependencies", help="Build what the services depend on too.")
    ] = False,
    ssh: Annotated[
        list[str] | None,
        typer.Option("--ssh", help="Agent for RUN --mount=type=ssh: default, NAME=SOCKET or NAME=KEY."),
    ] = None,
    progress: Annotated[str, typer.Option("--progress", help="auto, tty, plain or quiet.")] = "auto",
    check: Annotated[bool, typer.Option("--check", help="Only look for faults in the Dockerfiles.")] = False,
    print_bake: Annotated[
        bool, typer.Option("--print", help="Only print what would be built, as a bake file.")
    ] = False,
    builder: Annotated[str, typer.Option("--builder", help="There is one builder; for compatibility.")] = "",
    memory: Annotated[str, typer.Option("--memory", "-m", help="No effect; for compatibility.")] = "",
    provenance: Annotated[str, typer.Option("--provenance", help="Not made; for compatibility.")] = "",
    sbom: Annotated[str, typer.Option("--sbom", help="Not made; for compatibility.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Build the images of services."""
    _run(context, "build", locals())


@app.command()
def pull(
    context: typer.Context,
    services: Services = None,
    include_deps: Annotated[
        bool, typer.Option("--include-deps", help="What the services depend on too.")
    ] = False,
    ignore_buildable: Annotated[
        bool, typer.Option("--ignore-buildable", help="Not what can be built.")
    ] = False,
    ignore_pull_failures: Annotated[
        bool, typer.Option("--ignore-pull-failures", help="Go on after a failure.")
    ] = False,
    policy: Annotated[str, typer.Option("--policy", help="missing or always.")] = "",
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Pull the images of services."""
    _run_in(
        "pull",
        context,
        "pull",
        services=tuple(services or ()),
        include_deps=include_deps,
        ignore_buildable=ignore_buildable,
        ignore_pull_failures=ignore_pull_failures,
        policy=policy,
        quiet=quiet,
    )


@app.command()
def push(
    context: typer.Context,
    services: Services = None,
    include_deps: Annotated[
        bool, typer.Option("--include-deps", help="What the services depend on too.")
    ] = False,
    ignore_push_failures: Annotated[
        bool, typer.Option("--ignore-push-failures", help="Go on after a failure.")
    ] = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Push the images of services that are built."""
    _run_in(
        "pull",
        context,
        "push",
        services=tuple(services or ()),
        include_deps=include_deps,
        ignore_push_failures=ignore_push_failures,
        quiet=quiet,
    )


@app.command()
def images(
    context: typer.Context,
    services: Services = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only ids.")] = False,
    format: Format = "table",
) -> None:
    """List the images of the project's containers."""
    _run_in("images", context, "run", services=tuple(services or ()), quiet=quiet, format=format)


@app.command()
def commit(
    context: typer.Context,
    service: Service,
    name: Annotated[str, typer.Argument(metavar="[NAME[:TAG]]")] = "",
    author: Annotated[str, typer.Option("--author", "-a", help="Who made it.")] = "",
    change: Annotated[
        list[str] | None, typer.Option("--change", "-c", help='Dockerfile instruction, such as CMD ["sh"].')
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="For the image's history.")] = "",
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", "-p", help="Freeze the container meanwhile.")
    ] = True,
    number: Annotated[int, typer.Option("--index", help="The container's number.")] = 0,
    dry_run: DryRun = False,
) -> None:
    """Make an image of what a service's container has written."""
    _run_in(
        "commit",
        context,
        "run",
        service=service,
        name=name,
        author=author,
        changes=tuple(change or ()),
        message=message,
        pause=pause,
        number=number,
    )
