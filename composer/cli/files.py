"""What commands about containers' files share: which containers, and their root directories."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from composer.cli.context import Context
from composer.errors import ComposeError, SelectionError
from runtime import Container, container_root, send_root


def service_containers(
    context: Context, service: str, *, number: int = 0, one_offs: bool = False
) -> list[Container]:
    """A service's containers, running or not, by number; those of `run` only with `one_offs`, and last.

    Raises SelectionError if there is none.
    """
    project = context.existing((service,)).project
    found = [
        container
        for container in context.engine.containers.list(project)
        if container.service == service
        and number in (0, container.number)
        and (one_offs or not container.oneoff)
        and not container.leftover
    ]
    if not found:
        which = f" #{number}" if number else ""
        raise SelectionError(
            f'no container{which} found for service "{service}"',
            hint="make it with `pycompose up` or `create`",
        )
    return sorted(found, key=lambda container: (container.oneoff, container.number))


@contextmanager
def opened_root(context: Context, container: Container, *, mounts: bool) -> Iterator[int]:
    """A descriptor of a container's root directory. Nobody starts a stopped container meanwhile."""
    if container.is_live:
        with container_root(context.engine, container, mounts=mounts) as root:
            yield root
        return
    lock = context.engine.project_lock(container.project)
    lock.acquire()
    try:
        now = context.engine.containers.get(container.id)
        with container_root(context.engine, now, mounts=mounts) as root:
            yield root
    finally:
        lock.release()


def write_archive(root: int, output: str) -> None:
    """Write what is below an open directory as a tar to a file, "" = standard output. Raises ComposeError."""
    try:
        if output:
            with _whole_file(output) as file:
                send_root(root, file)
        else:
            send_root(root, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except OSError as error:
        raise ComposeError(f"cannot write {output or 'the archive'}: {error.strerror or error}") from error


@contextmanager
def _whole_file(path: str) -> Iterator[IO[bytes]]:
    """A file to write that takes its name, and the place of an older one, when it is whole. Raises OSError.

    What is there and is no regular file (a device, a pipe) is written to as it is.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "wb") as file:
                yield file
            return
    path = os.path.realpath(path)
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(unfinished, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise
