"""Waits for a process in the foreground: relays its terminal, forwards signals, and becomes its exit code."""

from __future__ import annotations

import os
import select
import signal

from runtime.linux import syscalls

# Not forwarded: of our own doing (children, terminal), or the kernel's answer to a fault of ours.
_OWN = frozenset(
    (
        signal.SIGCHLD,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGPIPE,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGURG,
        signal.SIGWINCH,
    )
)


def hold_signals() -> int:
    """Block what is to be forwarded, before the process exists: a descriptor from which `wait_for` reads it."""
    numbers = [number for number in signal.valid_signals() if number not in _OWN]
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    return syscalls.signalfd(numbers)


def wait_for(pid: int, pidfd: int, console: int, signals: int) -> int:
    """The exit code of the process, 128 + n if signal n ended it. `console` is its terminal's master or -1."""
    if console >= 0:
        from runtime.oci_cli.terminal import drain, relay

        (relay if os.isatty(0) else drain)(console, pidfd)
    else:
        _forward_signals(pidfd, signals)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _forward_signals(pidfd: int, signals: int) -> None:
    while True:
        ready, _, _ = select.select([pidfd, signals], [], [])
        if pidfd in ready:
            return
        number = int.from_bytes(os.read(signals, 128)[:4], "little")
        try:
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return
