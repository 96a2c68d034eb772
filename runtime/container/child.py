"""The forked child between clone3 and exec: what it carries along, its descriptors, and running its steps.

Everything here runs in the child and ends in `os._exit` or exec; nothing returns into the caller's code.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from runtime.container import sync
from runtime.linux import constants as k
from runtime.linux import syscalls

if TYPE_CHECKING:
    from runtime.container.setup import SetupStep

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Child:
    """State of the child while its steps run. Descriptors are -1 when there are none."""

    __slots__ = (
        "channel_fd",
        "console",
        "entered",
        "error_fd",
        "extra_fds",
        "held",
        "last_capability",
        "program",
        "root_fd",
        "trampoline_fd",
    )

    def __init__(self, last_capability: int) -> None:
        self.channel_fd = -1
        self.error_fd = -1
        self.trampoline_fd = -1
        self.root_fd = -1
        self.held: dict[str, int] = {}  # held before propagation was cut off, by source
        self.console = -1
        self.extra_fds = range(0)
        self.entered = False
        self.program = ""  # found beforehand; else exec_program looks for it
        self.last_capability = last_capability

    def arrange_descriptors(
        self,
        stdio: Sequence[int],
        preserve: Sequence[int],
        error: int,
        channel: int,
        trampoline: int,
        extra: Sequence[int] = (),
    ) -> None:
        """0, 1, 2, the preserved ones from 3 on, the error pipe, the channel, the trampoline, `extra`; no others.

        A preserved -1 is a number that stays closed.
        """
        wanted = [*stdio, *preserve, error, channel, trampoline, *extra]
        count = len(wanted)
        # Out of the way first, so that no dup2 overwrites a source that is still to be used.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, count) if fd >= 0 else -1 for fd in wanted]
        for number, fd in enumerate(moved):
            if fd >= 0:
                os.dup2(fd, number, inheritable=number <= 3 + len(preserve))
            else:
                syscalls.close_range(number, number)
        syscalls.close_range(count)
        self.error_fd = 3 + len(preserve)
        self.channel_fd = self.error_fd + 1
        self.trampoline_fd = self.error_fd + 2
        self.extra_fds = range(self.error_fd + 3, count)

    def run_steps(
        self, steps: Sequence[SetupStep], operations: Mapping[str, Callable[[Child, SetupStep], None]]
    ) -> None:
        """Carry the steps out in order. The first that fails is reported to the parent and ends the child."""
        for step in steps:
            try:
                operations[step.op](self, step)
            except BaseException as error:
                self.fail(step.describe(), error)

    def fail(self, step: str, error: BaseException) -> None:
        """Report the failed step and end."""
        sync.send_failure(self.channel_fd, step, error)
        os._exit(1)

    def report_created(self) -> None:
        """Tell the parent that all steps are done, handing over the console if there is one; wait for its word.

        Ends the process if the parent is gone.
        """
        sync.send_created(self.channel_fd, self.console)
        if self.console >= 0:
            os.close(self.console)
            self.console = -1
        if os.read(self.channel_fd, 1) != sync.GO:
            os._exit(1)

    def exec_program(self, args: Sequence[str], environment: Sequence[str]) -> None:
        """Find the program in the container's PATH and exec it by the trampoline. Never returns."""
        try:
            path = self.program or find_program(args[0], environment)
            for number in range(1, 32):
                # What the shim ignores would stay ignored in the program; handlers go by themselves.
                if signal.getsignal(number) == signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            variables = dict(item.split("=", 1) for item in environment if "=" in item[1:])
            os.execve(self.trampoline_fd, [path, *args], variables)
        except (OSError, ValueError) as error:  # ValueError: a NUL character in an argument or variable
            number = (error.errno or errno.EIO) if isinstance(error, OSError) else errno.EINVAL
            os.write(self.error_fd, sync.lookup_failure(number))
        os._exit(127)


def settle() -> None:
    """First thing in a new child: nobody may look into it, no signal handler or collector of the parent's runs."""
    gc.disable()  # a collected object of the parent's could close a descriptor number that is ours by now
    syscalls.prctl(k.PR_SET_DUMPABLE, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0)


def find_program(name: str, environment: Sequence[str]) -> str:
    """The path execve is to get, as execvp(3) finds it with the container's own PATH.

    Raises FileNotFoundError, PermissionError (there, but not executable) as the current user sees it.
    """
    if "/" in name:
        return name
    search = DEFAULT_PATH
    for item in environment:
        if item.startswith("PATH="):
            search = item[5:]
    denied = False
    for directory in search.split(":"):
        path = f"{directory or '.'}/{name}"
        if os.path.isfile(path):
            if os.access(path, os.X_OK, effective_ids=True):
                return path
            denied = True
    number = errno.EACCES if denied else errno.ENOENT
    raise OSError(number, os.strerror(number), name)


def make_channel() -> tuple[socket.socket, socket.socket]:
    """The parent's and the child's end of the channel (sync.py)."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
