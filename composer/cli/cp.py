"""`cp`: files between this machine and a service's containers, running or not."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.files import opened_root, service_containers
from composer.errors import ComposeError
from composer.output.terminal import DIM, GREEN
from runtime import Container, EngineError, Location, copy_files, receive_files, send_files

_STREAM = "-"


class Arguments(NamedTuple):
    source: str = ""
    destination: str = ""
    archive: bool = False
    follow_link: bool = False
    number: int = 0
    all: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `cp`; the exit code."""
    from_service, source = split_argument(arguments.source)
    to_service, destination = split_argument(arguments.destination)
    if from_service and to_service:
        raise ComposeError("copying between services is not supported", hint="copy to a file in between")
    service = from_service or to_service
    if not service:
        raise ComposeError(
            "unknown copy direction", hint="write the side that is in a container as SERVICE:PATH"
        )
    containers = service_containers(context, service, number=arguments.number, one_offs=arguments.all)
    if from_service:
        containers = containers[:1]
        if destination == _STREAM and sys.stdout.isatty() and not context.options.dry_run:
            raise ComposeError(
                "an archive is not for a terminal", hint="name a folder, or pipe it into a program"
            )
    elif source == _STREAM and len(containers) > 1:
        raise ComposeError(
            f"standard input can be copied to one container only, {service} has {len(containers)}",
            hint="choose one with --index",
        )
    for container in containers:
        inside = f"{container.name}:{source if from_service else destination}"
        what = f"copy {inside} to {destination}" if from_service else f"copy {source} to {inside}"
        if context.only_tells(what):
            continue
        _say(context, container, what, "Copying", DIM)
        try:
            if from_service:
                _copy_out(context, container, source, destination, arguments)
            else:
                _copy_in(context, container, source, destination, follow=arguments.follow_link)
        except OSError as error:
            raise ComposeError(f"{what}: {error.filename or ''} {error.strerror or error}") from error
        _say(context, container, what, "Copied", GREEN)
    return 0


def split_argument(text: str) -> tuple[str, str]:
    """(service, path); the service is "" for a path of this machine: one that begins with / or . or has no colon."""
    service, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return service, path


def _copy_out(
    context: Context, container: Container, source: str, destination: str, arguments: Arguments
) -> None:
    with opened_root(context, container, mounts=True) as root:
        inside = _inside(root, container, source)
        if destination == _STREAM:
            send_files(inside, sys.stdout.buffer, follow=arguments.follow_link)
            return
        owner = None if arguments.archive else (os.geteuid(), os.getegid())
        with _outside(destination) as outside:
            copy_files(inside, outside, follow=arguments.follow_link, owner=owner)


def _copy_in(context: Context, container: Container, source: str, destination: str, *, follow: bool) -> None:
    if container.live is None and container.spec.read_only:
        raise EngineError(f"container {container.name}: its root file system is read-only")
    with opened_root(context, container, mounts=True) as root:
        inside = _inside(root, container, destination)
        if source == _STREAM:
            receive_files(sys.stdin.buffer, inside)
            return
        with _outside(source) as outside:
            copy_files(outside, inside, follow=follow)


def _inside(root: int, container: Container, path: str) -> Location:
    return Location(root, path if path.startswith("/") else f"/{path}", f"container {container.name}")


@contextmanager
def _outside(path: str) -> Iterator[Location]:
    """A path of this machine."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Not normalized: "/." at the end has a meaning, and ".." after a link too.
        yield Location(root, path if path.startswith("/") else f"{os.getcwd()}/{path}")
    finally:
        os.close(root)


def _say(context: Context, container: Container, what: str, word: str, colour: str) -> None:
    context.err.line(f" {container.name} {what} {context.err.paint(word, colour)}")
