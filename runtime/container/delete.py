"""Removes a container of the OCI command: its processes, cgroup and state, then the poststop hooks."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from runtime.container.hooks import run_hooks_leniently
from runtime.container.oci_cgroup import open_recorded, remove_cgroup
from runtime.container.state import CREATED, STOPPED, Record, StateDirectory, is_alive, state_json, status_of
from runtime.errors import NotFoundError, StateError
from runtime.linux.constants import MNT_DETACH
from runtime.linux.pidfd import has_exited, open_checked
from runtime.linux.procfs import load_mountinfo
from runtime.linux.syscalls import umount2

if TYPE_CHECKING:
    from runtime.oci.spec import Hook

_DEATH_TIMEOUT_MS = 10_000


def delete_container(directory: StateDirectory, *, force: bool = False) -> list[str]:
    """Delete it; with `force` one that runs is killed, and one that is not there is fine. Returns warnings.

    Raises NotFoundError, StateError (it runs).
    """
    try:
        record = directory.load()
    except NotFoundError:
        if not force:
            raise
        directory.remove()  # what a killed `create` has left
        return []
    status = status_of(directory, record)
    if status not in (STOPPED, CREATED) and not force:
        raise StateError(
            f"container {directory.id} cannot be deleted: it is {status}, not stopped",
            hint="kill it, or --force",
        )
    return remove_container(directory, record)


def remove_container(directory: StateDirectory, record: Record) -> list[str]:
    """Kill what is left of it and remove everything. Returns warnings of poststop hooks."""
    if is_alive(record):
        kill_first_process(record)
    remove_cgroup(open_recorded(record), record.scope)
    hooks: list[Hook] = []
    try:
        spec = directory.load_spec()
        hooks = spec.get("hooks", {}).get("poststop", [])
        if all(namespace["type"] != "mount" for namespace in spec["linux"]["namespaces"]):
            unmount_below(record.rootfs)
    except FileNotFoundError:
        pass  # its creation was not finished
    directory.remove()
    return run_hooks_leniently(hooks, "poststop", state_json(record, STOPPED))


def unmount_below(rootfs: str) -> None:
    """Take away what a container without a mount namespace has mounted in ours: last mounted, first gone."""
    for mount in reversed(load_mountinfo()):
        if mount.target.startswith(f"{rootfs}/"):
            umount2(mount.target, MNT_DETACH)


def kill_first_process(record: Record) -> None:
    """SIGKILL to the first process; returns when it is gone. A frozen one is thawed."""
    try:
        pidfd = open_checked(record.pid, record.pid_start)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        cgroup = open_recorded(record)
        if cgroup.is_frozen():
            cgroup.freeze(False)
        has_exited(pidfd, _DEATH_TIMEOUT_MS)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)
