"""Resources as the files of the version 1 controllers: "Resources -> [(file, text)]". Pure.

Sources: kernel Documentation/admin-guide/cgroup-v1, OCI runtime-spec config-linux.md (its words are v1's).
Order matters: a value that depends on another comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.cgroups.plans import Files, plan_cpuset, plan_net_cls, plan_net_prio, plan_pids, plan_rdma

if TYPE_CHECKING:
    from runtime.oci.spec import DeviceRule, LinuxResources


def plan_memory(resources: LinuxResources) -> Files:
    """memory.txt. Bytes; the limit comes before memory plus swap, which must not be below it."""
    memory = resources.get("memory", {})
    files: Files = []
    for key, file in (
        ("limit", "memory.limit_in_bytes"),
        ("swap", "memory.memsw.limit_in_bytes"),
        ("reservation", "memory.soft_limit_in_bytes"),
        ("swappiness", "memory.swappiness"),
        ("kernel", "memory.kmem.limit_in_bytes"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
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
        ("burst", "cpu.cfs_burst_us"),
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
        ("idle", "cpu.idle"),
    ):
        if key in cpu:
            files.append((file, str(cpu[key])))  # type: ignore[literal-required]
    return files


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


def plan_blkio(resources: LinuxResources) -> Files:
    """blkio-controller.rst. Weights under both names they have had; rates in bytes or operations per second."""
    block = resources.get("blockIO", {})
    files: Files = []
    if block.get("weight"):
        files += [("blkio.bfq.weight", str(block["weight"])), ("blkio.weight", str(block["weight"]))]
    if block.get("leafWeight"):
        files.append(("blkio.leaf_weight", str(block["leafWeight"])))
    for device in block.get("weightDevice", ()):
        number = f"{device['major']}:{device['minor']}"
        if device.get("weight"):
            files.append(("blkio.weight_device", f"{number} {device['weight']}"))
        if device.get("leafWeight"):
            files.append(("blkio.leaf_weight_device", f"{number} {device['leafWeight']}"))
    for key, file in (
        ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
        ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
        ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
        ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
    ):
        for limit in block.get(key, ()):  # type: ignore[attr-defined]
            files.append((file, f"{limit['major']}:{limit['minor']} {limit['rate']}"))
    return files


def plan_hugetlb(resources: LinuxResources) -> Files:
    """hugetlb.rst. Bytes per page size."""
    return [
        (f"hugetlb.{limit['pageSize']}.limit_in_bytes", str(limit["limit"]))
        for limit in resources.get("hugepageLimits", ())
    ]


PLANS = {
    "memory": plan_memory,
    "cpu": plan_cpu,
    "cpuset": plan_cpuset,
    "pids": plan_pids,
    "devices": plan_devices,
    "blkio": plan_blkio,
    "hugetlb": plan_hugetlb,
    "net_cls": plan_net_cls,
    "net_prio": plan_net_prio,
    "rdma": plan_rdma,
}
