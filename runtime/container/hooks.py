"""Lifecycle hooks (config.md: POSIX-platform hooks): programs that get the container's state on their stdin.

Those of the host are spawned as they are. A startContainer hook comes from the container and is run through the
trampoline, as the container's program is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from runtime.errors import StartError

if TYPE_CHECKING:
    from runtime.oci.spec import Hook

_MAX_OUTPUT_BYTES = 4096


def run_hooks(hooks: Sequence[Hook], kind: str, state: dict[str, Any]) -> None:
    """Run hooks of the host one after the other. Raises StartError for the first that fails."""
    for hook in hooks:
        _run(hook, kind, state, _spawn)


def run_hooks_leniently(hooks: Sequence[Hook], kind: str, state: dict[str, Any]) -> list[str]:
    """The same for poststop, whose failures are only told (runtime.md: lifecycle)."""
    warnings: list[str] = []
    for hook in hooks:
        try:
            _run(hook, kind, state, _spawn)
        except StartError as error:
            warnings.append(error.message)
    return warnings


def run_container_hooks(hooks: Sequence[Hook], state: dict[str, Any], trampoline: int, error_fd: int) -> None:
    """Run startContainer hooks, called in the container. `error_fd` is the number built into the trampoline."""

    def fork(hook: Hook, stdin: int, output: int, errors: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.dup2(errors, error_fd, inheritable=True)
            for number, fd in enumerate((stdin, output, errors)):
                os.dup2(fd, number)
            os.execve(trampoline, [hook["path"], *_args(hook)], _environment(hook))
        finally:
            os._exit(127)

    for hook in hooks:
        _run(hook, "startContainer", state, fork)


def _args(hook: Hook) -> list[str]:
    return hook.get("args") or [hook["path"]]


def _environment(hook: Hook) -> dict[str, str]:
    """The hook's own; without one, the runtime's (as the other runtimes have it)."""
    if "env" not in hook:
        return dict(os.environ)
    return dict(item.split("=", 1) for item in hook["env"] if "=" in item)


def _spawn(hook: Hook, stdin: int, output: int, errors: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((stdin, output, errors))]
    return os.posix_spawn(
        hook["path"], _args(hook), _environment(hook), file_actions=actions, setsigdef=(), setsigmask=()
    )


def _redirected(state: dict[str, Any], stream: str, otherwise: int) -> int:
    """Where a hook's stdout or stderr goes: a file named by an annotation (crun's), else `otherwise`, as a copy."""
    path = state.get("annotations", {}).get(f"run.oci.hooks.{stream}")
    if not path:
        return os.dup(otherwise)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o700)


def _run(hook: Hook, kind: str, state: dict[str, Any], start: Callable[[Hook, int, int, int], int]) -> None:
    previous = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stdin, output = os.memfd_create("state"), os.memfd_create("output")
    streams: list[int] = []
    try:
        os.write(stdin, json.dumps(state).encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        try:
            streams += [_redirected(state, "stdout", output)]
            streams += [_redirected(state, "stderr", output)]
            pid = start(hook, stdin, *streams)
        except OSError as error:
            raise StartError(
                f"{kind} hook {hook['path']} could not be run: {error.strerror}", step=f"{kind} hook"
            ) from None
        code = _wait(pid, hook.get("timeout"))
        if code is None:
            raise StartError(
                f"{kind} hook {hook['path']} did not end within {hook.get('timeout')} s", step=f"{kind} hook"
            )
        if code != 0:
            os.lseek(output, 0, os.SEEK_SET)
            said = os.read(output, _MAX_OUTPUT_BYTES).decode(errors="replace").strip()
            text = f"{kind} hook failed with exit code {code}: {hook['path']}{f': {said}' if said else ''}"
            raise StartError(text, step=f"{kind} hook")
    finally:
        for fd in (stdin, output, *streams):
            os.close(fd)
        signal.signal(signal.SIGCHLD, previous)


def _wait(pid: int, timeout_s: int | None) -> int | None:
    """The exit code (negative for a signal), or None if the time was over and the hook has been killed."""
    if timeout_s:
        pidfd = os.pidfd_open(pid)
        deadline = time.monotonic() + timeout_s
        try:
            if not select.select([pidfd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return None
        finally:
            os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
