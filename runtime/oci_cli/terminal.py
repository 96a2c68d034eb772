"""Connects the caller's terminal, or plain output, with the terminal of a container's process."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import termios
import tty

_READ_BYTES = 1 << 16
_LAST_OUTPUT_MS = 50


def relay(console: int, pidfd: int) -> None:
    """Copy both ways in raw mode until the process is gone; the caller's settings are restored in any case."""
    saved = termios.tcgetattr(0)
    _copy_window_size(console)
    previous = signal.signal(signal.SIGWINCH, lambda *_: _copy_window_size(console))
    tty.setraw(0)
    try:
        _copy(console, pidfd, 0)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, saved)
        signal.signal(signal.SIGWINCH, previous)


def drain(console: int, pidfd: int) -> None:
    """The same where standard input is no terminal: only output is copied."""
    _copy(console, pidfd, -1)


def _copy_window_size(console: int) -> None:
    try:
        fcntl.ioctl(console, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))
    except OSError:
        pass


def _copy(console: int, pidfd: int, stdin: int) -> None:
    poll = select.poll()
    for descriptor in (console, pidfd, stdin) if stdin >= 0 else (console, pidfd):
        poll.register(descriptor, select.POLLIN)
    ended = False
    while True:
        # Once the process has ended, only what is still in its terminal counts.
        ready = poll.poll(_LAST_OUTPUT_MS if ended else None)
        if ended and not ready:
            return
        for descriptor, _ in ready:
            if descriptor == pidfd:
                ended = True
                poll.unregister(pidfd)
            elif descriptor == stdin:
                if not _pass_on(stdin, console):
                    poll.unregister(stdin)
            elif not _pass_on(console, 1):
                return


def _pass_on(source: int, target: int) -> bool:
    """Copy one chunk; False at the end. A terminal nobody has open any more answers with EIO."""
    try:
        data = os.read(source, _READ_BYTES)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return bool(data)
