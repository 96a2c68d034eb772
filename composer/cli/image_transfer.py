"""`image pull|push|import|export|load|save`, `login`, `logout`: images that come and go."""

import sys

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.transfer import LiveLines, TransferProgress

_HUB = "docker.io"


def pull(context: Context, *, names: tuple[str, ...], platform: str, quiet: bool) -> int:
    """`image pull`: bring images from their registries."""
    lines = LiveLines(context.status)
    for name in names:
        if context.only_tells(f"pull image {name}"):
            continue
        progress = TransferProgress(context.status, lines, name, quiet=quiet or context.quiet)
        progress.heading("Pulling")
        try:
            image_id = context.engine.images.begin_pull(name, platform).finish(progress)
        finally:
            lines.close()
        progress.heading("Pulled")
        context.out.line(image_id)
    return 0


def push(context: Context, *, names: tuple[str, ...], quiet: bool) -> int:
    """`image push`: send images to their registries."""
    lines = LiveLines(context.status)
    for name in names:
        if context.only_tells(f"push image {name} ({context.engine.images.resolve(name).id})"):
            continue
        progress = TransferProgress(context.status, lines, name, quiet=quiet or context.quiet)
        progress.heading("Pushing")
        try:
            digest = context.engine.images.begin_push(name).finish(progress)
        finally:
            lines.close()
        progress.heading("Pushed")
        context.out.line(digest)
    return 0


def bootstrap(context: Context, *, name: str, include: tuple[str, ...], quiet: bool) -> int:
    """`image bootstrap`: a base image from the machine's package sources."""
    if context.only_tells(f"make image {name} from this machine's package sources"):
        return 0
    lines = LiveLines(context.status)
    progress = TransferProgress(context.status, lines, name, quiet=quiet or context.quiet)
    packages = tuple(package for words in include for package in words.split(",") if package)
    try:
        image_id = context.engine.images.begin_bootstrap(name, packages).finish(progress)
    finally:
        lines.close()
    context.out.line(image_id)
    return 0


def import_archive(
    context: Context, *, archive: str, name: str, changes: tuple[str, ...] = (), message: str = ""
) -> int:
    """`image import`: make an image from a tar of a root filesystem."""
    if not context.only_tells(f"import {_source(archive)} as image {name}"):
        context.out.line(context.engine.images.import_archive(archive, name, changes, message))
    return 0


def load(context: Context, *, archive: str, quiet: bool) -> int:
    """`image load`: bring in the images of a saved archive or layout."""
    if context.only_tells(f"load the images of {_source(archive)}"):
        return 0
    for name in context.engine.images.load(archive):
        if not quiet:
            context.out.line(f"Loaded image: {name}")
    return 0


def save(context: Context, *, names: tuple[str, ...], output: str, format: str) -> int:
    """`image save`: write images to an archive."""
    if not output and sys.stdout.isatty():
        raise ComposeError("an archive is not for a terminal", hint="name a file with --output")
    for name in names if context.options.dry_run else ():
        context.only_tells(f"save image {context.engine.images.resolve(name).id} to {_target(output)}")
    if not context.options.dry_run:
        context.engine.images.save(names, output or "-", format)
    return 0


def export(context: Context, *, name: str, output: str) -> int:
    """`image export`: write an image's root filesystem as one tar."""
    if not output and sys.stdout.isatty():
        raise ComposeError("an archive is not for a terminal", hint="name a file with --output")
    if not context.only_tells(f"export image {context.engine.images.resolve(name).id} to {_target(output)}"):
        context.engine.images.export(name, output or "-")
    return 0


def login(context: Context, *, registry: str, username: str, password: str, password_stdin: bool) -> int:
    """`login`: check a password with a registry and keep it."""
    import getpass

    if password and password_stdin:
        raise ComposeError("--password and --password-stdin exclude each other")
    if context.only_tells(f"log in to {_host(registry)} and keep the password"):
        return 0
    if not username:
        if password_stdin or not sys.stdin.isatty():
            raise ComposeError("no user name", hint="give it with --username")
        username = input("Username: ")
    if password_stdin:
        password = sys.stdin.read().rstrip("\r\n")
    elif not password:
        if not sys.stdin.isatty():
            raise ComposeError("no password", hint="pipe it in and say --password-stdin")
        password = getpass.getpass("Password: ")
    kept = context.engine.images.login(_host(registry), username, password)
    context.err.line(f"Login succeeded; the password is kept in {kept}")
    return 0


def logout(context: Context, *, registry: str) -> int:
    """`logout`: forget a registry's password."""
    if context.only_tells(f"forget the password for {_host(registry)}"):
        return 0
    context.engine.images.logout(_host(registry))
    context.err.line(f"Removed the password for {_host(registry)}")
    return 0


def _source(archive: str) -> str:
    return "standard input" if archive == "-" else archive


def _target(output: str) -> str:
    return output or "standard output"


def _host(registry: str) -> str:
    host = registry.split("://", 1)[-1].rstrip("/").partition("/")[0]
    return _HUB if host in ("", "index.docker.io", "registry-1.docker.io") else host
