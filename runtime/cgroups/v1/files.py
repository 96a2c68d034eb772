"""Resources as the files of the version 1 controllers: "Resources -> [(file, text)]". Pure.

Sources: kernel Documentation/admin-guide/cgroup-v1, OCI runtime-spec config-linux.md (its words are v1's).
Order matters: a value that depends on another comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.oci.spec import DeviceRule, LinuxResources

Files = list[tuple[str, str]]


def plan_memory(resources: LinuxResources) -> Files:
    """memory.txt. Bytes; the limit comes before memory plus swap, which must not be below it."""
    memory = resources.get("memory", {})
    files: Files = []
    for key, file in (
        ("limit", "memory.limit_in_bytes"),
        ("swap", "memory.memsw.limit_in_bytes"),
        ("reservation", "memory.soft_limit_in_bytes"),
        ("swappiness", "memory.swappiness"),
    ):
        if key in memory:
            files.append((file, str(memory[key])))  # type: ignore[literal-required]
    if memory.get("disableOOMKiller"):
        files.append(("memory.oom_control", "1"))
    return files


def plan_cpu(resources: LinuxResources) -> Files:
    """sched-bwc.rst, sched-design-CFS.rst. Quota and period in microseconds; the period goes first."""
    cpu = resources.get("cpu", {})
    files: Files = []
    for key, file in (
        ("shares", "cpu.shares"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
        ("idle", "cpu.idle"),
    ):
        if key in cpu:
            files.append((file, str(cpu[key])))  # type: ignore[literal-required]
    return files


def plan_cpuset(resources: LinuxResources) -> Files:
    """cpusets.rst. Lists such as "0-2,4"."""
    cpu = resources.get("cpu", {})
    files: Files = []
    if cpu.get("cpus"):
        files.append(("cpuset.cpus", cpu["cpus"]))
    if cpu.get("mems"):
        files.append(("cpuset.mems", cpu["mems"]))
    return files


def plan_pids(resources: LinuxResources) -> Files:
    """pids.rst. 0 or less is no limit."""
    if "pids" not in resources:
        return []
    limit = resources["pids"]["limit"]
    return [("pids.max", str(limit) if limit > 0 else "max")]


def plan_devices(resources: LinuxResources) -> Files:
    """devices.rst. Rules in their order."""
    return [
        ("devices.allow" if rule["allow"] else "devices.deny", device_text(rule))
        for rule in resources.get("devices", ())
    ]


def device_text(rule: DeviceRule) -> str:
    """One rule in the kernel's words: "c 1:3 rwm"; "a" for everything."""
    kind = rule.get("type", "a")
    access = rule.get("access", "rwm")
    if kind == "a" and "major" not in rule and "minor" not in rule and access == "rwm":
        return "a"
    return f"{kind} {_number(rule.get('major', -1))}:{_number(rule.get('minor', -1))} {access}"


def _number(value: int) -> str:
    return "*" if value < 0 else str(value)


PLANS = {
    "memory": plan_memory,
    "cpu": plan_cpu,
    "cpuset": plan_cpuset,
    "pids": plan_pids,
    "devices": plan_devices,
}
