"""What a cgroup has used, in the words of runc's `events`: only read by the OCI command."""

from __future__ import annotations

import os
from typing import Any

from runtime.cgroups.detect import V2
from runtime.cgroups.files import read_keyed, read_text
from runtime.cgroups.manager import Cgroup

_CPUSET_SWITCHES = (
    "cpu_exclusive", "mem_exclusive", "mem_hardwall", "memory_migrate", "memory_pressure", "memory_spread_page",
    "memory_spread_slab", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip


def read_usage(cgroup: Cgroup) -> dict[str, Any]:
    """Processor, memory, processes, block I/O and huge pages; what the kernel does not count is 0 or left out."""
    if cgroup.layout.mode == V2:
        directory = cgroup.directories()[0]
        return {
            "cpu": _cpu_v2(directory),
            "memory": _memory_v2(directory),
            "pids": _pids(directory),
            "blkio": {"ioServiceBytesRecursive": _io_v2(directory)},
            "hugetlb": _hugetlb(directory, "max", "current"),
            "intel_rdt": {},
        }
    names = ("cpuacct", "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb")
    found = {name: _directory(cgroup, name) for name in names}
    return {
        "cpu": _cpu_v1(found["cpuacct"], found["cpu"]),
        "cpuset": _cpuset_v1(found["cpuset"]),
        "memory": _memory_v1(found["memory"]),
        "pids": _pids(found["pids"]),
        "blkio": {
            "ioServiceBytesRecursive": _blkio_v1(found["blkio"], "blkio.throttle.io_service_bytes_recursive"),
            "ioServicedRecursive": _blkio_v1(found["blkio"], "blkio.throttle.io_serviced_recursive"),
        },
        "hugetlb": _hugetlb(found["hugetlb"], "limit_in_bytes", "usage_in_bytes"),
        "intel_rdt": {},
    }


def _directory(cgroup: Cgroup, controller: str) -> str:
    hierarchy = cgroup.layout.controller(controller)
    return f"{hierarchy.mount_point}/{cgroup.path}" if hierarchy else ""


def _number(directory: str, file: str) -> int:
    text = read_text(directory, file) if directory else None
    return int(text) if text and text.lstrip("-").isdigit() else 0


def _numbers(directory: str, file: str) -> list[int]:
    text = read_text(directory, file) if directory else None
    return [int(word) for word in (text or "").split()]


def _cpu_v1(accounting: str, limits: str) -> dict[str, Any]:
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    times = read_keyed(accounting, "cpuacct.stat") if accounting else {}
    throttled = read_keyed(limits, "cpu.stat") if limits else {}
    return {
        "usage": {
            "total": _number(accounting, "cpuacct.usage"),
            "percpu": _numbers(accounting, "cpuacct.usage_percpu"),
            "percpu_kernel": _numbers(accounting, "cpuacct.usage_percpu_sys"),
            "percpu_user": _numbers(accounting, "cpuacct.usage_percpu_user"),
            "kernel": times.get("system", 0) * tick_ns,
            "user": times.get("user", 0) * tick_ns,
        },
        "throttling": {
            "periods": throttled.get("nr_periods", 0),
            "throttledPeriods": throttled.get("nr_throttled", 0),
            "throttledTime": throttled.get("throttled_time", 0),
        },
    }


def _cpuset_v1(directory: str) -> dict[str, Any]:
    return {
        **{name: _listed(directory, f"cpuset.{name}") for name in ("cpus", "mems")},
        **{name: _number(directory, f"cpuset.{name}") for name in _CPUSET_SWITCHES},
    }


def _listed(directory: str, file: str) -> list[int]:
    """The numbers of a list such as "0-3,8" (cpuset(7): List format)."""
    found: list[int] = []
    for part in (read_text(directory, file) or "").split(",") if directory else ():
        first, _, last = part.strip().partition("-")
        if first:
            found.extend(range(int(first), int(last or first) + 1))
    return found


def _cpu_v2(directory: str) -> dict[str, Any]:
    stat = read_keyed(directory, "cpu.stat")
    return {
        "usage": {
            "total": stat.get("usage_usec", 0) * 1000,
            "kernel": stat.get("system_usec", 0) * 1000,
            "user": stat.get("user_usec", 0) * 1000,
        },
        "throttling": {
            "periods": stat.get("nr_periods", 0),
            "throttledPeriods": stat.get("nr_throttled", 0),
            "throttledTime": stat.get("throttled_usec", 0) * 1000,
        },
    }


def _memory_v1(directory: str) -> dict[str, Any]:
    raw = read_keyed(directory, "memory.stat") if directory else {}

    def counters(prefix: str) -> dict[str, int]:
        return {
            "limit": _number(directory, f"{prefix}.limit_in_bytes"),
            "usage": _number(directory, f"{prefix}.usage_in_bytes"),
            "max": _number(directory, f"{prefix}.max_usage_in_bytes"),
            "failcnt": _number(directory, f"{prefix}.failcnt"),
        }

    return {
        "cache": raw.get("cache", 0),
        "usage": counters("memory"),
        "swap": counters("memory.memsw"),
        "kernel": counters("memory.kmem"),
        "kernelTCP": counters("memory.kmem.tcp"),
        "raw": raw,
    }


def _memory_v2(directory: str) -> dict[str, Any]:
    raw = read_keyed(directory, "memory.stat")
    events = read_keyed(directory, "memory.events")

    def counters(prefix: str) -> dict[str, int]:
        return {
            "limit": _number(directory, f"{prefix}.max"),
            "usage": _number(directory, f"{prefix}.current"),
            "max": _number(directory, f"{prefix}.peak"),
            "failcnt": events.get("max", 0) if prefix == "memory" else 0,
        }

    return {
        "cache": raw.get("file", 0),
        "usage": counters("memory"),
        "swap": counters("memory.swap"),
        "raw": raw,
    }


def _pids(directory: str) -> dict[str, int]:
    return {"current": _number(directory, "pids.current"), "limit": _number(directory, "pids.max")}


def _blkio_v1(directory: str, file: str) -> list[dict[str, Any]]:
    """Lines such as "8:0 Read 4096"; the totals are left out."""
    entries = []
    for line in (read_text(directory, file) or "").splitlines() if directory else ():
        fields = line.split()
        if len(fields) == 3:
            major, _, minor = fields[0].partition(":")
            entries.append(
                {"major": int(major), "minor": int(minor), "op": fields[1], "value": int(fields[2])}
            )
    return entries


def _io_v2(directory: str) -> list[dict[str, Any]]:
    """Lines such as "8:0 rbytes=4096 wbytes=0 …"."""
    entries = []
    for line in (read_text(directory, "io.stat") or "").splitlines():
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        values = dict(field.partition("=")[::2] for field in fields)
        for op, key in (("Read", "rbytes"), ("Write", "wbytes")):
            if key in values:
                entries.append(
                    {"major": int(major), "minor": int(minor), "op": op, "value": int(values[key])}
                )
    return entries


def _hugetlb(directory: str, limit: str, usage: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    try:
        names = os.listdir(directory) if directory else []
    except FileNotFoundError:
        names = []
    for name in names:
        if name.startswith("hugetlb.") and name.endswith(f".{usage}") and name.count(".") == 2:
            size = name.split(".")[1]
            found[size] = {
                "usage": _number(directory, name),
                "limit": _number(directory, f"hugetlb.{size}.{limit}"),
            }
    return found
