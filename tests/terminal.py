"""A user at a terminal: a program on a pseudo-terminal, what it prints, and what is typed to it."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SIZE = (33, 101)  # lines, columns


class Terminal:
    """Runs a program as the leader of a session on a terminal of its own. A context manager: killed at the end.

    `controlling`: keys such as Ctrl-C are signals, and /dev/tty is there, as with a terminal emulator.
    """

    def __init__(
        self, words: Sequence[str], folder: Path, environ: Mapping[str, str], *, controlling: bool = False
    ) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, SIZE)
        self.process = subprocess.Popen(
            words,
            cwd=folder,
            env=environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
        )
        self.slave = slave
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str, timeout_s: float = 20) -> str:
        """Wait until `text` is shown; what came up to it, which is then taken from `shown`."""
        deadline = time.monotonic() + timeout_s
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"no {text!r} in {self.shown!r}"
        before, _, self.shown = self.shown.partition(text)
        return before

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            data = os.read(self._master, 4096)
        except OSError:  # the last user of the terminal has gone
            return False
        self.shown += data.decode()
        return True

    def wait(self, timeout_s: float = 20) -> int:
        """The exit code; what is shown meanwhile is kept."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.wait(1)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self._master)
