"""The OCI runtime configuration (config.json) as types: runtime-spec 1.2, config.md and config-linux.md.

A `Spec` *is* the JSON object, so a bundle written here is read by any OCI runtime and the other way round.
Only what Linux containers use; keys keep the specification's spelling. What our own engine never asks for is in
`spec_extra`, which a start does not load. Pure; types only.
"""

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from runtime.oci.version import OCI_VERSION as OCI_VERSION

if TYPE_CHECKING:
    from runtime.oci.spec_extra import (
        BlockIO,
        CpuAffinity,
        HugepageLimit,
        IdMapping,
        IoPriority,
        MemoryPolicy,
        Network,
        Personality,
        Rdma,
        Scheduler,
        TimeOffset,
    )


class User(TypedDict):
    """config.md: process.user; numbers of the container's user namespace."""

    uid: int
    gid: int
    umask: NotRequired[int]
    additionalGids: NotRequired[list[int]]


class Rlimit(TypedDict):
    """config.md: process.rlimits; `type` as RLIMIT_NOFILE, values in setrlimit(2)'s units."""

    type: str
    soft: int
    hard: int


class Capabilities(TypedDict, total=False):
    """config.md: process.capabilities; names as CAP_CHOWN. An absent set is empty."""

    bounding: list[str]
    effective: list[str]
    inheritable: list[str]
    permitted: list[str]
    ambient: list[str]


class ConsoleSize(TypedDict):
    """Rows and columns of a terminal."""

    height: int
    width: int


class Process(TypedDict):
    """config.md: process. `env` are KEY=value strings, `cwd` is absolute."""

    args: list[str]
    cwd: str
    user: User
    env: NotRequired[list[str]]
    terminal: NotRequired[bool]
    consoleSize: NotRequired[ConsoleSize]
    capabilities: NotRequired[Capabilities]
    rlimits: NotRequired[list[Rlimit]]
    noNewPrivileges: NotRequired[bool]
    oomScoreAdj: NotRequired[int]
    apparmorProfile: NotRequired[str]
    selinuxLabel: NotRequired[str]
    scheduler: NotRequired["Scheduler"]
    ioPriority: NotRequired["IoPriority"]
    execCPUAffinity: NotRequired["CpuAffinity"]


class Root(TypedDict):
    """config.md: root. `path` is relative to the bundle or absolute."""

    path: str
    readonly: NotRequired[bool]


class Mount(TypedDict):
    """config.md: mounts. `options` are mount(8) words; mappings make it an idmapped mount."""

    destination: str
    type: NotRequired[str]
    source: NotRequired[str]
    options: NotRequired[list[str]]
    uidMappings: NotRequired["list[IdMapping]"]
    gidMappings: NotRequired["list[IdMapping]"]


class Hook(TypedDict):
    """config.md: hooks; `timeout` in seconds."""

    path: str
    args: NotRequired[list[str]]
    env: NotRequired[list[str]]
    timeout: NotRequired[int]


class Namespace(TypedDict):
    """config-linux.md: namespaces. With `path` it is joined, without it is created."""

    type: str  # "pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"
    path: NotRequired[str]


class Device(TypedDict):
    """config-linux.md: devices. `type` is c, b, u or p; `fileMode` permission bits."""

    path: str
    type: str
    major: NotRequired[int]
    minor: NotRequired[int]
    fileMode: NotRequired[int]
    uid: NotRequired[int]
    gid: NotRequired[int]


class DeviceRule(TypedDict):
    """config-linux.md: resources.devices. Absent type, major or minor = all."""

    allow: bool
    type: NotRequired[str]  # "a", "c", "b"
    major: NotRequired[int]
    minor: NotRequired[int]
    access: NotRequired[str]  # of "r", "w", "m"


class Memory(TypedDict, total=False):
    """config-linux.md: resources.memory, bytes; `swap` is memory plus swap; -1 = unlimited."""

    limit: int
    reservation: int
    swap: int
    swappiness: int
    kernel: int
    kernelTCP: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool


class Cpu(TypedDict, total=False):
    """config-linux.md: resources.cpu; `quota` and `period` in microseconds."""

    shares: int
    quota: int
    burst: int
    period: int
    realtimeRuntime: int
    realtimePeriod: int
    cpus: str
    mems: str
    idle: int


class Pids(TypedDict):
    """config-linux.md: resources.pids; 0 or less = unlimited."""

    limit: int


class LinuxResources(TypedDict, total=False):
    """config-linux.md: resources. `unified` are raw cgroup v2 files."""

    devices: list[DeviceRule]
    memory: Memory
    cpu: Cpu
    pids: Pids
    blockIO: "BlockIO"
    hugepageLimits: "list[HugepageLimit]"
    network: "Network"
    rdma: "dict[str, Rdma]"
    unified: dict[str, str]


class SeccompArg(TypedDict):
    """config-linux.md: seccomp.syscalls[].args."""

    index: int
    value: int
    op: str
    valueTwo: NotRequired[int]


class SeccompRule(TypedDict):
    """config-linux.md: seccomp.syscalls."""

    names: list[str]
    action: str
    errnoRet: NotRequired[int]
    args: NotRequired[list[SeccompArg]]


class Seccomp(TypedDict):
    """config-linux.md: seccomp."""

    defaultAction: str
    defaultErrnoRet: NotRequired[int]
    architectures: NotRequired[list[str]]
    flags: NotRequired[list[str]]
    listenerPath: NotRequired[str]
    listenerMetadata: NotRequired[str]
    syscalls: NotRequired[list[SeccompRule]]


class Linux(TypedDict, total=False):
    """config-linux.md."""

    namespaces: list[Namespace]
    uidMappings: "list[IdMapping]"
    gidMappings: "list[IdMapping]"
    timeOffsets: "dict[str, TimeOffset]"
    devices: list[Device]
    cgroupsPath: str
    resources: LinuxResources
    sysctl: dict[str, str]
    seccomp: Seccomp
    rootfsPropagation: str
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    personality: "Personality"
    memoryPolicy: "MemoryPolicy"
    intelRdt: dict[str, Any]
    netDevices: dict[str, dict[str, str]]


class Spec(TypedDict):
    """config.json."""

    ociVersion: str
    root: Root
    process: Process
    linux: Linux
    hostname: NotRequired[str]
    domainname: NotRequired[str]
    mounts: NotRequired[list[Mount]]
    hooks: NotRequired[dict[str, list[Hook]]]
    annotations: NotRequired[dict[str, Any]]
