"""How parent and child talk until the program runs.

    parent (shim, exec)                          child (init, exec)
        │  clone3                                    │
        │                                            │  steps
        │  ◄── {"step", "call", "path", "errno"} ────┤  a step failed; the child exits
        │  ◄── "created" + console descriptor ───────┤  all steps done
        │                                            │  waits
        ├─── "g" ───────────────────────────────►    │  execs the trampoline, the trampoline the program
        │  ◄── error pipe: errno ────────────────────┤  the program could not be exec'ed
        │  ◄── error pipe: end of file ──────────────┤  it runs

The channel is a pair of SOCK_SEQPACKET sockets, the error pipe a pipe; both are close-on-exec in the program.
End of file on the channel means to the child that the parent is gone, to the parent that the child died
without a word (killed, most often for want of memory).
"""

import errno
import json
import os
import socket
import struct

from runtime.errors import StartError

GO = b"g"
_CREATED = b"created"
_HOOKS = b"hooks"
_LISTENER = b"listener"
_LOOKUP = b"L"
_MAX_MESSAGE_BYTES = 65536

_HINTS = {
    errno.EPERM: "root is needed, or the kernel forbids this (LSM, user namespace, missing capability)",
    errno.ENOMEM: "the memory limit may be too small to start anything",
    errno.ENOSPC: "no space left on the device, or a limit of the kernel is reached",
    errno.EMFILE: "too many open files",
    errno.EAGAIN: "a limit on the number of processes is reached",
}


def send_failure(channel: int, step: str, error: BaseException) -> None:
    """In the child: say which step failed in which call. Never raises: there is nobody to tell."""
    report: dict[str, str | int] = {"step": step, "call": _call_of(error), "path": "", "errno": 0}
    if isinstance(error, OSError) and error.errno is not None:
        report["errno"] = error.errno
        report["path"] = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        report["text"] = error.strerror or ""
    else:
        report["text"] = f"{type(error).__name__}: {error}"
    try:
        os.write(channel, json.dumps(report).encode()[:_MAX_MESSAGE_BYTES])
    except OSError:
        pass


def _call_of(error: BaseException) -> str:
    """Name of the innermost function: that of the system call, as the functions of syscalls.py are named like it."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_name
        trace = trace.tb_next
    return name.lstrip("_")


def send_created(channel: int, console: int) -> None:
    """In the child: all steps are done. `console` is the terminal's master or -1."""
    with socket.socket(fileno=os.dup(channel)) as connection:
        if console >= 0:
            socket.send_fds(connection, [_CREATED], [console])
        else:
            connection.send(_CREATED)


def send_ready_for_hooks(channel: int) -> None:
    """In the child: everything is mounted, the root not yet changed; the caller waits for the parent's word."""
    os.write(channel, _HOOKS)


def send_listener(channel: int, listener: int) -> None:
    """In the child: hand over the descriptor of a seccomp listener."""
    with socket.socket(fileno=os.dup(channel)) as connection:
        socket.send_fds(connection, [_LISTENER], [listener])


def receive_progress(channel: socket.socket) -> tuple[str, int]:
    """In the parent of an OCI container's child: ("hooks", -1), ("listener", fd) or ("created", console or -1).

    Raises StartError with the failed step.
    """
    message, descriptors, _, _ = socket.recv_fds(channel, _MAX_MESSAGE_BYTES, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if message in (_HOOKS, _LISTENER, _CREATED):
        return message.decode(), descriptors[0] if descriptors else -1
    for descriptor in descriptors:
        os.close(descriptor)
    raise failure_of(message) if message else _died()


def send_process(channel: int, pid: int, pidfd: int) -> None:
    """In the intermediate child of exec: hand over the process it has made, then it can go."""
    with socket.socket(fileno=os.dup(channel)) as connection:
        socket.send_fds(connection, [struct.pack("=i", pid)], [pidfd])


def receive_process(channel: socket.socket) -> tuple[int, int]:
    """In the parent: (pid, pidfd) of the process an intermediate child has made. Raises StartError."""
    message, descriptors, _, _ = socket.recv_fds(channel, _MAX_MESSAGE_BYTES, 1)
    if len(message) == 4 and descriptors:
        os.set_inheritable(descriptors[0], False)
        return struct.unpack("=i", message)[0], descriptors[0]
    raise failure_of(message) if message else _died()


def _died() -> StartError:
    return StartError(
        "the container's process died while it was set up",
        step="set-up",
        hint="it was killed from outside, or the memory limit is too small",
    )


def receive_created(channel: socket.socket) -> int:
    """In the parent: wait for the child's report; returns the console's master or -1. Raises StartError."""
    message, descriptors, _, _ = socket.recv_fds(channel, _MAX_MESSAGE_BYTES, 1)
    if message == _CREATED:
        console = descriptors[0] if descriptors else -1
        if console >= 0:
            os.set_inheritable(console, False)
        return console
    for descriptor in descriptors:
        os.close(descriptor)
    if not message:
        raise _died()
    raise failure_of(message)


def failure_of(message: bytes) -> StartError:
    """The child's report as the error a user reads."""
    report = json.loads(message)
    number: int = report["errno"]
    place = f" ({report['path']})" if report["path"] and report["path"] not in report["step"] else ""
    text = f"could not {report['step']}{place}: {report['call']}: {report.get('text') or os.strerror(number)}"
    return StartError(text, step=report["step"], errno=number, hint=_HINTS.get(number, ""))


def lookup_failure(number: int) -> bytes:
    """What the child writes to the error pipe when the program is not found or not executable."""
    return struct.pack("=i", number) + _LOOKUP


def receive_exec(pipe: int, program: str) -> None:
    """In the parent: wait until the program runs (end of file on the error pipe). Raises StartError if it cannot."""
    message = os.read(pipe, 16)
    if message:
        raise start_failure_of(message, program)


def start_failure_of(message: bytes, program: str) -> StartError:
    """What a child said instead of running the program: a failed step, or why it cannot be exec'ed."""
    if message.startswith(b"{"):
        return failure_of(message)
    number = struct.unpack("=i", message[:4])[0]
    by_lookup = message[4:] == _LOOKUP
    return StartError(
        f"cannot run {program!r}: {_EXEC_TEXTS.get(number) or os.strerror(number)}",
        step="exec",
        errno=number,
        hint=_exec_hint(number, by_lookup),
    )


_EXEC_TEXTS = {errno.ENOENT: "command not found", errno.EACCES: "permission denied"}


def _exec_hint(number: int, by_lookup: bool) -> str:
    if number == errno.ENOENT:
        if by_lookup:
            return (
                "it is in no directory of the container's PATH; check `command`, `entrypoint` and the image"
            )
        return "there is no such file in the container, or the interpreter or loader it names is missing"
    if number == errno.EACCES:
        return "the file is not executable for the container's user, or lies on a noexec mount"
    if number == errno.ENOEXEC:
        return "built for another processor, or a script without a #! line"
    return ""
