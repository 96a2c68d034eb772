"""A seccomp filter whose calls another program decides about (SCMP_ACT_NOTIFY): getting its listener out.

Once the filter is loaded, any call of ours may wait for an answer, so the loading process cannot hand the listener
over itself. A helper that shares its descriptor table, and has no filter, waits for the listener's number to appear
and sends it to the parent, which passes it on to listenerPath.
"""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import time
from typing import Any

from runtime.container import sync
from runtime.errors import StartError
from runtime.linux import constants as k
from runtime.linux import syscalls

_PATIENCE_S = 10.0
_PROCESS_STATE_VERSION = (
    "0.2.0"  # of the container process state, as the specification and other runtimes give it
)


def load_with_listener(channel: int, program: bytes, flags: int) -> None:
    """In the child: load the filter; the listener arrives at the parent by `sync.receive_progress`."""
    probe = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    number = probe  # the lowest free one, which the kernel will give the listener
    os.close(probe)
    helper, helper_fd = syscalls.clone3(k.CLONE_FILES)
    if helper == 0:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                fcntl.fcntl(number, fcntl.F_GETFD)
            except OSError:
                time.sleep(0.0005)
                continue
            sync.send_listener(channel, number)
            os.close(number)
            os._exit(0)
        os._exit(1)
    # clone3's descriptor of the helper has taken the lowest number, in the table that both share.
    os.close(helper_fd)
    listener = syscalls.seccomp_set_filter(program, flags)
    if listener != number:
        raise OSError(0, f"the listener became descriptor {listener} instead of {number}")
    # Until the helper has sent it: what the parent is told next must come after the listener.
    os.waitpid(helper, 0)


def deliver(path: str, listener: int, state: dict[str, Any], metadata: str) -> None:
    """In the parent: send the listener to the agent at `path` (config-linux.md: the container process state)."""
    message: dict[str, Any] = {
        "ociVersion": _PROCESS_STATE_VERSION,
        "fds": ["seccompFd"],
        "pid": state["pid"],
        "state": state,
    }
    if metadata:
        message["metadata"] = metadata
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            ancillary = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))
            connection.sendmsg([json.dumps(message).encode()], [ancillary])
    except OSError as error:
        raise StartError(
            f"cannot hand the seccomp listener to {path}: {error.strerror}", step="seccomp listener"
        ) from None
    finally:
        os.close(listener)
