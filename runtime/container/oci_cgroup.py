"""Which cgroup a container of the OCI command has: from cgroupsPath, or from what was recorded at its creation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.cgroups.detect import V1, Layout
from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.errors import ConflictError, InvalidError
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
