"""What a running container uses at one moment, from the kernel's files."""

import os
from typing import TYPE_CHECKING, NamedTuple

from runtime.cgroups.manager import open_cgroup
from runtime.cgroups.usage import read_usage

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine

_PRESSURE = ("cpu", "memory", "io")


class Usage(NamedTuple):
    """Counters grow from the container's start on. `pressure` is the share of the last 10 s, in percent, in which
    some process waited for a resource (Documentation/accounting/psi.rst); empty where the kernel does not say.
    """

    cpu_ns: int = 0
    memory_bytes: int = 0  # without inactive page cache, as Docker counts
    memory_limit_bytes: int = 0  # 0 = none
    pids: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    pressure: tuple[tuple[str, float], ...] = ()


def read_container_usage(engine: "Engine", container: "Container") -> Usage:
    """The present usage; all zeros if the container does not run."""
    live = container.live
    if live is None or not live.pid:
        return Usage()
    cgroup = open_cgroup(engine.containers.cgroup_path(container))
    stats = cgroup.stats()
    blocks = read_usage(cgroup)["blkio"].get("ioServiceBytesRecursive", ())
    read, written = (
        sum(entry["value"] for entry in blocks if entry["op"] == operation) for operation in ("Read", "Write")
    )
    # A container in the host's network has no traffic of its own.
    received, sent = (0, 0) if container.spec.network_mode == "host" else _traffic(live.pid)
    return Usage(
        cpu_ns=stats.cpu_ns,
        memory_bytes=stats.memory_bytes,
        memory_limit_bytes=stats.memory_limit_bytes,
        pids=stats.pids,
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=read,
        written_bytes=written,
        pressure=_pressure(cgroup.directories()),
    )


def host_memory_bytes() -> int:
    """All memory of the machine: the limit of a container that has none."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _traffic(pid: int) -> tuple[int, int]:
    """Bytes received and sent by all interfaces but lo, in the network namespace of a process (proc_pid_net(5))."""
    received = sent = 0
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.readlines()[2:]
    except OSError:
        return 0, 0
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() != "lo":
            fields = numbers.split()
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def _pressure(directories: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    found = []
    for resource in _PRESSURE:
        for directory in directories:
            try:
                with open(f"{directory}/{resource}.pressure") as file:
                    words = file.readline().split()
            except OSError:
                continue
            values = dict(word.partition("=")[::2] for word in words[1:])
            found.append((resource, float(values.get("avg10", 0))))
            break
    return tuple(found)
