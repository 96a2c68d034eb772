"""What `create` and `run` share: their options, the container, its pid file and its terminal."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from runtime.container.bundle import load_bundle
from runtime.container.create import Created, Options, create_container
from runtime.errors import InvalidError
from runtime.oci_cli.options import FLAG, VALUE, Option, Parsed

if TYPE_CHECKING:
    from runtime.oci.spec import Spec
    from runtime.oci_cli.main import Call

OPTIONS = {
    "bundle": Option(VALUE, "folder of the bundle (default: the current one)", "b"),
    "config": Option(VALUE, "another file than config.json", "f"),
    "console-socket": Option(VALUE, "socket that gets the terminal's master"),
    "pid-file": Option(VALUE, "file to write the first process's pid to"),
    "no-pivot": Option(FLAG, "move the root instead of pivot_root, for a root on a ramfs"),
    "no-new-keyring": Option(FLAG, "keep the caller's session keyring"),
    "no-subreaper": Option(FLAG, "accepted: no subreaper is ever set"),
    "preserve-fds": Option(VALUE, "pass that many descriptors from 3 on to the container"),
}


def create(call: Call, *, waiting: bool, terminal_here: bool) -> Created:
    """Create the container the call describes; a terminal goes to --console-socket, or stays with `created.console`.

    Raises EngineError, OSError.
    """
    container_id = call.only_id()
    options = call.options
    bundle = os.path.realpath(options.text("bundle") or ".")
    spec = load_bundle(bundle, options.text("config"))
    check_console(bool(spec["process"].get("terminal")), options.text("console-socket"), terminal_here)
    settings = Options(
        root=call.root,
        bundle=bundle,
        manager=call.manager,
        preserve_fds=preserved(options, spec),
        pivot=not options.flag("no-pivot"),
        keyring=not options.flag("no-new-keyring"),
    )
    created = create_container(spec, container_id, settings, waiting=waiting)
    try:
        for warning in created.warnings:
            call.log.warning(warning)
        if options.text("console-socket"):
            send_console(options.text("console-socket"), created.console)
            created.console = -1
        write_pid_file(options.text("pid-file"), created.record.pid)
    except BaseException:
        from runtime.container.delete import remove_container

        remove_container(created.directory, created.record)
        raise
    return created


def check_console(terminal: bool, console_socket: str, terminal_here: bool) -> None:
    """A terminal needs somebody at its other end. Raises InvalidError."""
    if terminal and not console_socket and not terminal_here:
        raise InvalidError(
            "process.terminal is set: --console-socket is needed", hint="or run it in the foreground"
        )
    if console_socket and not terminal:
        raise InvalidError("--console-socket is given, but process.terminal is not set")


def preserved(options: Parsed, spec: Spec | None = None) -> tuple[int, ...]:
    """Descriptors to pass on: --preserve-fds, and before them those of socket activation (sd_listen_fds(3))."""
    listening = os.environ.get("LISTEN_FDS", "")
    sockets = int(listening) if listening.isdigit() else 0
    if sockets and spec is not None:
        spec["process"].setdefault("env", []).extend((f"LISTEN_FDS={sockets}", "LISTEN_PID=1"))
    return tuple(_if_open(number) for number in range(3, 3 + sockets + (options.number("preserve-fds") or 0)))


def _if_open(number: int) -> int:
    """The number, or -1: engines ask for a range and do not mind gaps."""
    try:
        os.fstat(number)
    except OSError:
        return -1
    return number


def send_console(path: str, console: int) -> None:
    """Send a terminal's master to whoever listens at `path`, and close it here. Raises OSError."""
    try:
        name = os.ptsname(console) if hasattr(os, "ptsname") else "/dev/ptmx"
    except OSError:
        name = "/dev/ptmx"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            socket.send_fds(connection, [name.encode()], [console])
    except OSError as error:
        raise OSError(error.errno, f"cannot send the terminal: {error.strerror}", path) from None
    finally:
        os.close(console)


def write_pid_file(path: str, pid: int) -> None:
    """Write a pid file so that a reader never sees half of it."""
    if path:
        from runtime.store.files import write_file

        write_file(path, str(pid).encode(), mode=0o644, durable=False)
