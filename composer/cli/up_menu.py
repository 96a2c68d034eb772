"""The keys of an attached `up`: the terminal's last line says what they do."""

import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from composer.output.terminal import BOLD, DIM, Terminal

_ERASE_LINE = "\r\033[K"
_GAP = "   "


class Entry(NamedTuple):
    """A key and what it does."""

    key: str
    text: str


def is_possible(terminal: Terminal) -> bool:
    """Whether somebody sits there: both ends are a terminal, and this process is in its foreground."""
    try:
        foreground = os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
    return foreground and terminal.stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class KeyMenu:
    """The line, and the keys as they are pressed. After `close` the terminal is as it was before `open`.

    Whoever prints hides the line first and shows it again afterwards. `descriptors` are readable when there are keys
    to take, or when the line must be drawn again (the window's size, or a job that goes on): `take_keys` does both.
    """

    def __init__(self, terminal: Terminal, entries: Callable[[], Sequence[Entry]]) -> None:
        self._terminal = terminal
        self._entries = entries
        self._drawn = False
        self._saved = termios.tcgetattr(0)
        self._handlers: dict[int, Any] = {}
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.descriptors = (0, self._wake_reader)

    def open(self) -> None:
        """Take over the terminal and draw the line."""
        for number, handler in (
            (signal.SIGWINCH, self._wake),
            (signal.SIGCONT, self._wake),  # after `bg`, `fg`
            (signal.SIGTSTP, self._suspend),
        ):
            self._handlers[number] = signal.signal(number, handler)
        self._listen()
        self.show()

    def close(self) -> None:
        """The terminal as it was, however far `open` had come."""
        if self._wake_writer < 0:
            return
        self.hide()
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        self._wake_writer = -1
        self.descriptors = (-1, -1)

    def _listen(self) -> None:
        """Each key at once and without an echo; Ctrl-C, Ctrl-\\ and Ctrl-Z go on to be signals."""
        settings = termios.tcgetattr(0)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, settings)

    def _wake(self, *_: object) -> None:
        # The line is not drawn from here: a print may be under way.
        try:
            os.write(self._wake_writer, b"w")
        except BlockingIOError:
            pass

    def _suspend(self, *_: object) -> None:
        """Ctrl-Z: the shell gets the terminal as it was."""
        termios.tcsetattr(0, termios.TCSADRAIN, self._saved)
        self._drawn = False
        os.write(sys.stdout.fileno(), _ERASE_LINE.encode())
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(0, signal.SIGTSTP)
        # It goes on, in the foreground or not; or it was never stopped, because no shell could let it go on.
        signal.signal(signal.SIGTSTP, self._suspend)
        self._wake()

    def take_keys(self) -> str:
        """The keys that were pressed since the last call; draws the line again if that is needed."""
        if not select.select(self.descriptors, [], [], 0)[0]:
            return ""
        try:
            os.read(self._wake_reader, 4096)
        except BlockingIOError:
            pass
        else:
            if is_possible(self._terminal):
                self._listen()
                self.hide()
                self.show()
        readable = is_possible(self._terminal) and select.select([0], [], [], 0)[0]
        return os.read(0, 256).decode(errors="replace") if readable else ""

    def hide(self) -> None:
        if self._drawn:
            self._drawn = False
            self._terminal.stream.write(_ERASE_LINE)
            self._terminal.stream.flush()

    def show(self) -> None:
        """Draw the line, as much of it as the window is wide."""
        if self._drawn or self._wake_writer < 0 or not is_possible(self._terminal):
            return
        left = max(0, os.get_terminal_size(self._terminal.stream.fileno()).columns - 1)
        parts = []
        for number, entry in enumerate(self._entries()):
            width = len(_GAP) * bool(number) + len(entry.key) + 1 + len(entry.text)
            if width > left:
                break
            left -= width
            key, text = self._terminal.paint(entry.key, BOLD), self._terminal.paint(entry.text, DIM)
            parts.append(f"{key} {text}")
        self._terminal.stream.write(_ERASE_LINE + _GAP.join(parts))
        self._terminal.stream.flush()
        self._drawn = True
