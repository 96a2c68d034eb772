"""`init: true`: the forked child stays pid 1 of the container, reaps orphans and forwards signals.

It is not dumpable, so nobody inside can open its /proc/1/exe (DESIGN 3.7).
"""

import os
import signal
from collections.abc import Sequence

from runtime.container.child import Child
from runtime.linux import constants as k
from runtime.linux import syscalls

# Caused by pid 1's own doing, never meant for the program.
_OWN = frozenset((signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU))


def run_as_init(child: Child, args: Sequence[str], environment: Sequence[str]) -> None:
    """Start the program as a child and end with its exit code (128 + n when signal n ended it). Never returns."""
    everything = signal.valid_signals()
    # Blocked and waited for: a blocked signal reaches pid 1 although it has no handler (signal(7), pid_namespaces(7)).
    signal.pthread_sigmask(signal.SIG_BLOCK, everything)
    program = os.fork()
    if program == 0:
        _lead_terminal()
        child.exec_program(args, environment)
    _let_go()
    signals = everything - {signal.SIGKILL, signal.SIGSTOP}
    while True:
        received = signal.sigwaitinfo(signals)
        if received.si_signo == signal.SIGCHLD:
            _reap(program)
        elif received.si_signo not in _OWN:
            try:
                os.kill(program, received.si_signo)
            except (ProcessLookupError, PermissionError):
                pass  # it has ended, or has become another user by a set-user-id program


def _lead_terminal() -> None:
    """A process group of its own, in the foreground of the terminal if there is one (as a shell's job)."""
    os.setpgid(0, 0)
    if os.isatty(0):
        os.tcsetpgrp(0, os.getpid())


def _let_go() -> None:
    """Close everything: a pipe whose last writer the program was must end when the program closes it."""
    syscalls.close_range(0)
    try:
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
    except OSError:
        pass  # a container may take its /dev/null away
    syscalls.prctl(k.PR_SET_DUMPABLE, 0)


def _reap(program: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
