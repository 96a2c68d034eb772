"""Resources as the files of cgroup v2: "Resources -> [(file, text)]". Pure.

Source: kernel Documentation/admin-guide/cgroup-v2.rst. What v2 has no file for is still listed, under its v1 name:
writing it then fails as missing, and the caller is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources

Files = list[tuple[str, str]]

_DEFAULT_PERIOD_US = 100_000


def plan_memory(resources: LinuxResources) -> Files:
    """memory.max and friends, bytes. v2 counts swap apart, OCI counts memory plus swap."""
    memory = resources.get("memory", {})
    files: Files = []
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit:
        files.append(("memory.max", _bytes(limit)))
    if swap:
        files.append(("memory.swap.max", "max" if swap < 0 else str(max(0, swap - max(0, limit)))))
    if memory.get("reservation"):
        files.append(("memory.low", _bytes(memory["reservation"])))
    if "swappiness" in memory:
        files.append(("memory.swappiness", str(memory["swappiness"])))
    if memory.get("disableOOMKiller"):
        files.append(("memory.oom_control", "1"))
    return files


def _bytes(value: int) -> str:
    return "max" if value < 0 else str(value)


def plan_cpu(resources: LinuxResources) -> Files:
    """cpu.weight from shares, cpu.max from quota and period (microseconds)."""
    cpu = resources.get("cpu", {})
    files: Files = []
    if cpu.get("shares"):
        files.append(("cpu.weight", str(weight_of(cpu["shares"]))))
    if "quota" in cpu or "period" in cpu:
        quota = cpu.get("quota", -1)
        period = cpu.get("period", 0) or _DEFAULT_PERIOD_US
        files.append(("cpu.max", f"{quota if quota > 0 else 'max'} {period}"))
    if "idle" in cpu:
        files.append(("cpu.idle", str(cpu["idle"])))
    return files


def weight_of(shares: int) -> int:
    """v1's 2 to 262144 as v2's 1 to 10000, linear as the other runtimes do it."""
    bounded = min(max(shares, 2), 262144)
    return 1 + (bounded - 2) * 9999 // 262142


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


def plan_files(resources: LinuxResources) -> Files:
    """All files of all controllers, then `unified` as given."""
    files = plan_memory(resources) + plan_cpu(resources) + plan_cpuset(resources) + plan_pids(resources)
    return files + list(resources.get("unified", {}).items())
