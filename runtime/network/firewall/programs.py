"""Running the few programs that other firewalls are only reachable through."""

import os
import signal
from collections.abc import Mapping, Sequence

SEARCHED: tuple[str, ...] = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin")


def find_program(name: str, folders: Sequence[str] = SEARCHED) -> str:
    """Its path, "" if it is not installed."""
    return next((path for path in (f"{d}/{name}" for d in folders) if os.access(path, os.X_OK)), "")


def run_program(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """(exit code, all output) of a program, without a shell. Raises OSError."""
    # A command that has started shims lets the kernel reap its children, exit codes and all.
    usual = signal.getsignal(signal.SIGCHLD)
    if usual == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return _run(program, arguments, environment or {})
    finally:
        if usual == signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, usual)


def _run(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
        variables = {"PATH": ":".join(SEARCHED), "LC_ALL": "C", **environment}
        pid = os.posix_spawn(program, [program, *arguments], variables, file_actions=actions)
    finally:
        os.close(writer)
    with os.fdopen(reader, errors="replace") as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
