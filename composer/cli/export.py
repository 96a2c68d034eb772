"""`export`: the file system of a service's container as a tar, without what is mounted in it."""

import sys
from typing import NamedTuple

from composer.cli.context import Context
from composer.cli.files import opened_root, service_containers, write_archive
from composer.errors import ComposeError
from composer.output.terminal import DIM, GREEN
from runtime import Container


class Arguments(NamedTuple):
    service: str = ""
    output: str = ""
    number: int = 0


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `export`; the exit code."""
    (container, *_) = service_containers(context, arguments.service, number=arguments.number)
    if context.only_tells(f"export {container.name} to {arguments.output or 'standard output'}"):
        return 0
    export_container(context, container, arguments.output)
    return 0


def export_container(context: Context, container: Container, output: str) -> None:
    """Write a container's root file system to a file, "" = standard output. Raises ComposeError, EngineError."""
    if not output and sys.stdout.isatty():
        raise ComposeError(
            "output option is required when exporting to terminal", hint="name a file with --output"
        )
    what = f" {container.name} export {container.name} to {output or 'standard output'}"
    context.err.line(f"{what} {context.err.paint('Exporting', DIM)}")
    with opened_root(context, container, mounts=False) as root:
        write_archive(root, output)
    context.err.line(f"{what} {context.err.paint('Exported', GREEN)}")
