"""Starts a created container of the OCI command."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from runtime.container import sync
from runtime.container.delete import remove_container
from runtime.container.hooks import run_hooks
from runtime.container.state import CREATED, RUNNING, Record, StateDirectory, state_json, status_of
from runtime.errors import StartError, StateError

if TYPE_CHECKING:
    from runtime.container.create import Created
    from runtime.oci.spec import Spec


def start_created(directory: StateDirectory) -> None:
    """`start` of a container that an earlier call has created.

    Raises StateError if it does not wait to be started, StartError if its program cannot be run or a poststart hook
    fails: the container is gone then.
    """
    record = directory.load()
    status = status_of(directory, record)
    if status != CREATED:
        raise StateError(f"container {directory.id} cannot be started: it is {status}, not created")
    spec = directory.load_spec()
    with _connect(directory) as connection:
        os.unlink(directory.socket_path)  # whatever comes now, it is not waiting any more
        _await_program(connection, spec["process"]["args"][0])
    try:
        _run_poststart(spec, record)
    except StartError:
        remove_container(directory, record)
        raise


def start_now(created: Created) -> None:
    """The same right after its creation by this process (`run`), which removes it if this fails."""
    program = created.spec["process"]["args"][0]
    with created.channel as channel:
        try:
            channel.send(sync.GO)
            _await_program(channel, program)
        except BrokenPipeError:
            pass  # it died; the error pipe ends and its pidfd tells
    sync.receive_exec(created.errors, program)
    os.close(created.errors)
    created.errors = -1
    _run_poststart(created.spec, created.record)


def _run_poststart(spec: Spec, record: Record) -> None:
    run_hooks(spec.get("hooks", {}).get("poststart", []), "poststart", state_json(record, RUNNING))


def _connect(directory: StateDirectory) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{folder}/start.sock")
    except OSError as error:
        connection.close()
        raise StateError(f"container {directory.id} cannot be started: {error.strerror}") from None
    finally:
        os.close(folder)
    return connection


def _await_program(connection: socket.socket, program: str) -> None:
    """Until end of file: the program runs. Raises StartError with what the child said instead."""
    message = connection.recv(65536)
    if message:
        raise sync.start_failure_of(message, program)
