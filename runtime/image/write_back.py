"""Writing to the disk early: what a big pull has unpacked is on its way there while the rest is still coming.

An image is made durable before it gets its name (intake.py). All of it at once, at the end, takes a second or more in
which no processor has anything to do.
"""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.image.workers import die_with, end_child
from runtime.linux import syscalls

_PAUSE_S = 0.5
_WORTH_IT_BYTES = 16 << 20


@contextmanager
def early_write_back(directory: str, size: int) -> Iterator[None]:
    """While this lasts, a child makes the file system of `directory` durable again and again.

    Not for less than some megabytes (`size`, in bytes), and not a promise: who needs one calls syncfs afterwards.
    """
    if size < _WORTH_IT_BYTES:
        yield
        return
    reader, writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(writer)
            die_with(parent)
            _write_back(directory, reader)
        finally:
            os._exit(0)
    os.close(reader)
    try:
        yield
    finally:
        os.close(writer)
        end_child(pid)


def _write_back(directory: str, stop: int) -> None:
    """Until the other end of `stop` is closed."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    while not select.select([stop], [], [], _PAUSE_S)[0]:
        syscalls.syncfs(fd)
