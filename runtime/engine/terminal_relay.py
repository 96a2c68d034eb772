"""Connects the user's terminal with a terminal inside a container, until the program there has ended."""

import errno
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_READ_BYTES = 1 << 16


def copy_window_size(source: int, target: int) -> None:
    """Give the terminal `target` the size of `source` (TIOCGWINSZ, TIOCSWINSZ); nothing if that has none."""
    try:
        fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        pass


def relay(console: int, pidfd: int, *, stdin: int = 0, stdout: int = 1) -> None:
    """Copy both ways between the user's raw terminal and `console`; returns when the process of `pidfd` is gone."""
    with raw_terminal(stdin, console):
        _copy(console, pidfd, stdin, stdout)


@contextmanager
def raw_terminal(terminal: int, console: int) -> Iterator[None]:
    """Raw mode for the user's terminal, whose size `console` follows; its settings come back in any case."""
    saved = termios.tcgetattr(terminal)
    copy_window_size(terminal, console)
    previous = signal.signal(signal.SIGWINCH, lambda *_: copy_window_size(terminal, console))
    # Unlike TCSAFLUSH this keeps what has been typed already.
    tty.setraw(terminal, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, saved)
        signal.signal(signal.SIGWINCH, previous)


def _copy(console: int, pidfd: int, stdin: int, stdout: int) -> None:
    poll = select.poll()
    for descriptor in (console, pidfd, stdin):
        poll.register(descriptor, select.POLLIN)
    ended = False
    while True:
        # Once the program has ended, only what is still in its terminal counts.
        ready = poll.poll(50 if ended else None)
        if ended and not ready:
            return
        for descriptor, _ in ready:
            if descriptor == pidfd:
                ended = True
                poll.unregister(pidfd)
            elif descriptor == stdin:
                _pass_on(poll, stdin, console)
            elif not _pass_on(poll, console, stdout):
                return


def _pass_on(poll: "select.poll", source: int, target: int) -> bool:
    """Copy one chunk; False (and `source` is not watched any more) at its end."""
    try:
        data = os.read(source, _READ_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = b""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    if not data:
        poll.unregister(source)
    return bool(data)
