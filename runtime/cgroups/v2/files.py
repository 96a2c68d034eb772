"""Resources as the files of cgroup v2: "Resources -> [(file, text)]". Pure.

Source: kernel Documentation/admin-guide/cgroup-v2.rst. What v2 has no file for is still listed, under its v1 name:
writing it then fails as missing, and the caller is told.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runtime.cgroups.plans import Files, plan_cpuset, plan_net_cls, plan_net_prio, plan_pids, plan_rdma

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources

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
    for key, file in (
        ("kernel", "memory.kmem.limit_in_bytes"),
        ("kernelTCP", "memory.kmem.tcp.limit_in_bytes"),
    ):
        if memory.get(key):
            files.append((file, str(memory[key])))  # type: ignore[literal-required]
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
    if "burst" in cpu:
        files.append(("cpu.max.burst", str(cpu["burst"])))
    if cpu.get("realtimePeriod"):
        files.append(("cpu.rt_period_us", str(cpu["realtimePeriod"])))
    if cpu.get("realtimeRuntime"):
        files.append(("cpu.rt_runtime_us", str(cpu["realtimeRuntime"])))
    if "idle" in cpu:
        files.append(("cpu.idle", str(cpu["idle"])))
    return files


def weight_of(shares: int) -> int:
    """v1's 2 to 262144 as v2's 1 to 10000, so that the default of one (1024) is that of the other (100).

    The curve through these three points is that of newer releases of runc and crun; before, it was a line.
    """
    level = math.log2(min(max(shares, 2), 262144))
    return math.ceil(round(10 ** ((level * level + 125 * level) / 612 - 7 / 34), 6))


def plan_io(resources: LinuxResources) -> Files:
    """io.weight (v1's 10 to 1000 as 1 to 10000; bfq has a file of its own that keeps the range) and io.max."""
    block = resources.get("blockIO", {})
    files: Files = []
    if block.get("weight"):
        files.append(("io.bfq.weight", str(block["weight"])))
        files.append(("io.weight", f"default {_io_weight(block['weight'])}"))
    for device in block.get("weightDevice", ()):
        if device.get("weight"):
            number = f"{device['major']}:{device['minor']}"
            files.append(("io.bfq.weight", f"{number} {device['weight']}"))
            files.append(("io.weight", f"{number} {_io_weight(device['weight'])}"))
    for key, word in (
        ("throttleReadBpsDevice", "rbps"),
        ("throttleWriteBpsDevice", "wbps"),
        ("throttleReadIOPSDevice", "riops"),
        ("throttleWriteIOPSDevice", "wiops"),
    ):
        for limit in block.get(key, ()):  # type: ignore[attr-defined]
            files.append(("io.max", f"{limit['major']}:{limit['minor']} {word}={limit['rate']}"))
    return files


def _io_weight(weight: int) -> int:
    return 1 + (min(max(weight, 10), 1000) - 10) * 9999 // 990


def plan_hugetlb(resources: LinuxResources) -> Files:
    """hugetlb.<size>.max, bytes."""
    return [
        (f"hugetlb.{limit['pageSize']}.max", str(limit["limit"]))
        for limit in resources.get("hugepageLimits", ())
    ]


def plan_files(resources: LinuxResources) -> Files:
    """All files of all controllers, then `unified` as given."""
    files = plan_memory(resources) + plan_cpu(resources) + plan_cpuset(resources) + plan_pids(resources)
    files += plan_io(resources) + plan_hugetlb(resources) + plan_rdma(resources)
    files += plan_net_cls(resources) + plan_net_prio(resources)
    return files + list(resources.get("unified", {}).items())
