"""Which cgroup a container of the OCI command has: from cgroupsPath, or from what was recorded at its creation."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from runtime.cgroups.detect import V1, Layout
from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.errors import ConflictError, InvalidError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.oci.devices import DENY_ALL, standard_device_rules

if TYPE_CHECKING:
    from runtime.container.state import Record
    from runtime.oci.spec import LinuxResources, Spec

CGROUPFS, SYSTEMD, DISABLED = "cgroupfs", "systemd", "disabled"


def cgroup_path(spec: Spec, container_id: str) -> str:
    """The path below every hierarchy's mount point; /ID where the configuration names none."""
    path = spec["linux"].get("cgroupsPath", "") or f"/{container_id}"
    if ".." in path.split("/"):
        raise InvalidError(f"linux.cgroupsPath {path!r} leads upwards")
    return "/" + path.strip("/")


def resources_of(spec: Spec) -> LinuxResources:
    """The limits to set: devices are denied but those the configuration and every container may use."""
    resources = spec["linux"].get("resources", {})
    rules = [DENY_ALL, *resources.get("devices", ()), *standard_device_rules()]
    return {**resources, "devices": rules}


def check_unused(cgroup: Cgroup) -> None:
    """A container's end is its cgroup's end: none may have one that others are in. Raises ConflictError."""
    if not cgroup.path:
        raise InvalidError("linux.cgroupsPath must not be the root cgroup")
    pids = cgroup.procs()
    if pids:
        raise ConflictError(
            f"cgroup {cgroup.path} is not empty: {len(pids)} processes are in it, such as {pids[0]}",
            hint="give each container a cgroupsPath of its own",
        )


def open_by(manager: str, path: str) -> Cgroup:
    """The cgroup as the manager has it; with `disabled` one of no hierarchy at all."""
    return Cgroup(path, Layout(V1, ())) if manager == DISABLED else open_cgroup(path)


def open_recorded(record: Record) -> Cgroup:
    """The cgroup a container was created in."""
    return open_by(record.cgroup_manager, record.cgroup_path)


class OwnCgroup:
    """A container's cgroup while it is created. `cgroup` is there, empty, with its limits, after `make`.

    `scope` is systemd's unit, "" without it. systemd makes one around a process only: a placeholder, which `settled`
    lets go when the container's own is in.
    """

    def __init__(self, spec: Spec, container_id: str, manager: str) -> None:
        self._spec = spec
        self._id = container_id
        self._manager = manager
        self._placeholder = 0
        self._made = False
        self.scope = ""
        if manager == SYSTEMD:
            from runtime.cgroups.systemd import parse_scope

            self._unit = parse_scope(spec["linux"].get("cgroupsPath", ""), container_id)
            self.path, self.scope = self._unit.path, self._unit.unit
        else:
            self.path = cgroup_path(spec, container_id)
        self.cgroup = open_by(manager, self.path)

    def make(self) -> list[str]:
        """Make it and set its limits. Returns warnings. Raises ConflictError, InvalidError, UnsupportedError."""
        if self._manager == DISABLED:
            return []
        check_unused(self.cgroup)
        self._made = True
        if self._manager == SYSTEMD:
            self._start_scope()
        return self.cgroup.create(resources_of(self._spec))

    def _start_scope(self) -> None:
        from runtime.cgroups.systemd import start_scope

        self._placeholder = os.fork()
        if self._placeholder == 0:
            try:
                syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.pause()
            finally:
                os._exit(0)
        resources = self._spec["linux"].get("resources", {})
        start_scope(self._unit, self._placeholder, f"container {self._id}", resources)

    def settled(self) -> None:
        """The container's first process is in."""
        if self._placeholder:
            os.kill(self._placeholder, signal.SIGKILL)
            os.waitpid(self._placeholder, 0)
            self._placeholder = 0

    def take_back(self) -> None:
        """Remove it after a failure, with what is in it."""
        self.settled()
        if self._made:
            remove_cgroup(self.cgroup, self.scope)


def remove_cgroup(cgroup: Cgroup, scope: str) -> None:
    """Kill what is in it and remove it; systemd forgets its unit."""
    cgroup.kill()
    if scope:
        from runtime.cgroups.systemd import stop_scope

        stop_scope(scope)
    cgroup.delete()
