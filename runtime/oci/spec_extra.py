"""Parts of the OCI configuration that only other engines ask for: user namespaces, scheduling, block I/O and the like.

Continues `spec`, in the same way. Pure; types only.
"""

from typing import NotRequired, TypedDict


class Scheduler(TypedDict):
    """config.md: process.scheduler; sched_setattr(2)'s fields, times in nanoseconds."""

    policy: str
    nice: NotRequired[int]
    priority: NotRequired[int]
    flags: NotRequired[list[str]]
    runtime: NotRequired[int]
    deadline: NotRequired[int]
    period: NotRequired[int]


# config.md: process.ioPriority; `class` is IOPRIO_CLASS_RT, _BE or _IDLE.
IoPriority = TypedDict("IoPriority", {"class": str, "priority": int})


class CpuAffinity(TypedDict, total=False):
    """config.md: process.execCPUAffinity; lists such as "0-2,4"."""

    initial: str
    final: str


class IdMapping(TypedDict):
    """config-linux.md: uidMappings, gidMappings."""

    containerID: int
    hostID: int
    size: int


class WeightDevice(TypedDict):
    """config-linux.md: blockIO.weightDevice."""

    major: int
    minor: int
    weight: NotRequired[int]
    leafWeight: NotRequired[int]


class ThrottleDevice(TypedDict):
    """config-linux.md: blockIO.throttle*; bytes or operations per second."""

    major: int
    minor: int
    rate: int


class BlockIO(TypedDict, total=False):
    """config-linux.md: resources.blockIO; weights from 10 to 1000."""

    weight: int
    leafWeight: int
    weightDevice: list[WeightDevice]
    throttleReadBpsDevice: list[ThrottleDevice]
    throttleWriteBpsDevice: list[ThrottleDevice]
    throttleReadIOPSDevice: list[ThrottleDevice]
    throttleWriteIOPSDevice: list[ThrottleDevice]


class HugepageLimit(TypedDict):
    """config-linux.md: resources.hugepageLimits; `pageSize` as "2MB", bytes."""

    pageSize: str
    limit: int


class InterfacePriority(TypedDict):
    """config-linux.md: network.priorities."""

    name: str
    priority: int


class Network(TypedDict, total=False):
    """config-linux.md: resources.network, the net_cls and net_prio controllers of v1."""

    classID: int
    priorities: list[InterfacePriority]


class Rdma(TypedDict, total=False):
    """config-linux.md: resources.rdma, by device name."""

    hcaHandles: int
    hcaObjects: int


class Personality(TypedDict):
    """config-linux.md: personality; `domain` is LINUX or LINUX32."""

    domain: str
    flags: NotRequired[list[str]]


class TimeOffset(TypedDict, total=False):
    """config-linux.md: timeOffsets, by clock (monotonic, boottime)."""

    secs: int
    nanosecs: int


class MemoryPolicy(TypedDict):
    """config-linux.md: memoryPolicy; set_mempolicy(2)'s mode and flags, nodes as "0-3,7"."""

    mode: str
    nodes: NotRequired[str]
    flags: NotRequired[list[str]]
