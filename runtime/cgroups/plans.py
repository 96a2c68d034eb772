"""What both versions of cgroups have the same files for: "Resources -> [(file, text)]". Pure.

Sources: kernel Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources

Files = list[tuple[str, str]]


def plan_cpuset(resources: LinuxResources) -> Files:
    """cpuset.cpus and cpuset.mems, lists such as "0-2,4"."""
    cpu = resources.get("cpu", {})
    files: Files = []
    if cpu.get("cpus"):
        files.append(("cpuset.cpus", cpu["cpus"]))
    if cpu.get("mems"):
        files.append(("cpuset.mems", cpu["mems"]))
    return files


def plan_pids(resources: LinuxResources) -> Files:
    """pids.max; 0 or less is no limit."""
    if "pids" not in resources:
        return []
    limit = resources["pids"]["limit"]
    return [("pids.max", str(limit) if limit > 0 else "max")]


def plan_net_cls(resources: LinuxResources) -> Files:
    """net_cls.rst."""
    network = resources.get("network", {})
    return [("net_cls.classid", str(network["classID"]))] if "classID" in network else []


def plan_net_prio(resources: LinuxResources) -> Files:
    """net_prio.rst."""
    priorities = resources.get("network", {}).get("priorities", ())
    return [("net_prio.ifpriomap", f"{entry['name']} {entry['priority']}") for entry in priorities]


def plan_rdma(resources: LinuxResources) -> Files:
    """rdma.rst; the same file in v2."""
    files: Files = []
    for device, limits in resources.get("rdma", {}).items():
        words = [device]
        if "hcaHandles" in limits:
            words.append(f"hca_handle={limits['hcaHandles']}")
        if "hcaObjects" in limits:
            words.append(f"hca_object={limits['hcaObjects']}")
        files.append(("rdma.max", " ".join(words)))
    return files
