"""What a caller asks of a container: `ContainerSpec` and its parts.

These are the types between `composer.translate` and the engine. They are NamedTuples because hot commands
read them from a cache (a dataclass would import `inspect`); `to_json`/`from_json` are exact inverses.
Absent values: "" for text, 0 for counts and sizes, None only where "not given" differs from empty.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class MountRequest(NamedTuple):
    """One mount of a container. `type` is "bind", "volume", "tmpfs" or "image" (Compose spec 05-services: volumes)."""

    type: str
    target: str
    source: str = ""  # bind: absolute host path; volume: its real name, "" = anonymous; image: a reference
    read_only: bool = False
    create_host_path: bool = False
    propagation: str = ""  # "" = rprivate
    recursive: str = ""  # bind: "", "enabled", "disabled", "writable", "readonly"
    nocopy: bool = False
    subpath: str = ""
    size_bytes: int = 0  # tmpfs
    mode: int | None = None  # tmpfs
    options: tuple[str, ...] = ()  # tmpfs: mount(8) words such as "noexec", "uid=1000"
    labels: tuple[tuple[str, str], ...] = ()  # of an anonymous volume
    selinux: str = ""  # bind: "z" or "Z", the label it is to get


class FileGrant(NamedTuple):
    """A file that a container gets on a tmpfs of its own, read-only. `content` names what it holds, which is no part
    of the specification: see `Containers.create`.
    """

    target: str
    content: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class NetworkAttachment(NamedTuple):
    """One network a container joins. `network` is the network's real name (project_default)."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    mac_address: str = ""
    priority: int = 0
    gw_priority: int = 0
    interface_name: str = ""
    link_local_ips: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()  # of this interface; IFNAME in a name stands for its name
    links: tuple[tuple[str, str], ...] = ()  # as ContainerSpec.links, for as long as it is in the network


class PortRequest(NamedTuple):
    """One published port. A `host_port` of 0 with `host_port_end` 0 asks for any free port."""

    container_port: int
    protocol: str = "tcp"  # "tcp", "udp", "sctp"
    host_ip: str = ""  # "" = all addresses
    host_port: int = 0
    host_port_end: int = 0  # last port of a range to choose from; 0 = exactly host_port


class Healthcheck(NamedTuple):
    """`test` as Docker stores it: ("CMD", …), ("CMD-SHELL", line) or ("NONE",). A time of 0 = Docker's default."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    retries: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0


class RestartPolicy(NamedTuple):
    """`name`: "no", "always", "unless-stopped" or "on-failure"; `max_retries` 0 = without limit."""

    name: str = "no"
    max_retries: int = 0
    delay_ns: int = 0  # 0 = the doubling back-off from 100 ms to 1 min
    window_ns: int = 0  # a run of this length makes `max_retries` count anew; 0 = never


class HookSpec(NamedTuple):
    """A command that is run in the container at a point of its life. "" = as the container's own program has it."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()  # NAME=VALUE
    user: str = ""
    working_dir: str = ""
    privileged: bool = False


class LogRequest(NamedTuple):
    """`logging`: where output goes; runtime.oci.logging knows the drivers. "" = the engine's own file."""

    driver: str = ""
    options: Mapping[str, str] = {}


class DeviceMapping(NamedTuple):
    """A device node of the host, a directory of them, or a CDI device by its full name (vendor/class=name)."""

    source: str
    target: str
    permissions: str = "rwm"


class DeviceRequest(NamedTuple):
    """Devices by what they can do, found by the host's CDI specifications. A `number` of -1 = all."""

    driver: str = ""
    capabilities: tuple[str, ...] = ()
    number: int = 0
    ids: tuple[str, ...] = ()


class BlockLimits(NamedTuple):
    """Bounds on block input and output: (path of a device, weight, bytes or operations per second); weight 0 = none."""

    weight: int = 0
    weight_devices: tuple[tuple[str, int], ...] = ()
    read_bps: tuple[tuple[str, int], ...] = ()
    read_iops: tuple[tuple[str, int], ...] = ()
    write_bps: tuple[tuple[str, int], ...] = ()
    write_iops: tuple[tuple[str, int], ...] = ()


class Ulimit(NamedTuple):
    """One setrlimit(2) limit by its short name ("nofile"); -1 = unlimited."""

    name: str
    soft: int
    hard: int


class ResourceLimits(NamedTuple):
    """cgroup limits; 0 or "" = not limited, memory_swap_bytes -1 = unlimited swap, None = not given."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0  # memory plus swap, as Docker counts it
    memory_reservation_bytes: int = 0
    memory_swappiness: int | None = None
    nano_cpus: int = 0  # 1e9 = one processor
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0
    oom_kill_disable: bool = False
    cpu_rt_runtime_us: int = 0
    cpu_rt_period_us: int = 0


class ContainerSpec(NamedTuple):
    """All that makes one container, names of networks and volumes resolved, nothing read from the image yet."""

    name: str
    image: str
    labels: Mapping[str, str] = {}
    command: tuple[str, ...] | None = None  # None = the image's
    entrypoint: tuple[str, ...] | None = None  # None = the image's; () = none
    environment: tuple[tuple[str, str | None], ...] = ()  # value None = take the variable away
    working_dir: str = ""
    user: str = ""  # "name|uid[:group|gid]"
    group_add: tuple[str, ...] = ()
    hostname: str = ""  # "" = the first 12 characters of the id
    domainname: str = ""
    tty: bool = False
    console_size: tuple[int, ...] = ()  # rows and columns of its terminal at first, () = unknown
    stdin_open: bool = False
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
    shm_size_bytes: int = 0  # 0 = 64 MiB
    resources: ResourceLimits = ResourceLimits()
    block_limits: BlockLimits = BlockLimits()
    storage_bytes: int = 0  # the most its writable layer may take on the disk, 0 = no limit
    cgroup_parent: str = ""  # "" = the root's own
    devices: tuple[DeviceMapping, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()  # "c 1:3 rwm"
    annotations: Mapping[str, str] = {}
    ipc: str = ""  # "" = private; "host", "none", "private", "shareable", "container:NAME"
    pid: str = ""  # "" = its own; "host", "container:NAME"
    uts: str = ""  # "" = its own; "host"
    cgroup: str = ""  # "" or "private" = its own; "host"
    userns: str = ""  # "" or "host" = the host's ids; "auto", "auto:size=N" = a range of its own
    id_range: tuple[
        int, ...
    ] = ()  # that range, which the engine chooses: first id of the host, number of ids
    volumes_from: tuple[str, ...] = ()  # NAME[:ro|rw]
    mounts: tuple[MountRequest, ...] = ()
    files: tuple[FileGrant, ...] = ()
    network_mode: str = ""  # "" = `networks`; "none", "host", "container:NAME" (or the id)
    networks: tuple[NetworkAttachment, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  # (alias, name): names in its networks that only this one knows
    ports: tuple[PortRequest, ...] = ()
    expose: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()  # (name, address or "host-gateway")
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None  # None = the image's
    restart: RestartPolicy = RestartPolicy()
    restart_unhealthy: bool = False  # a program that becomes unhealthy is stopped and started again
    stop_signal: str = ""  # "" = the image's or SIGTERM
    stop_grace_period_ns: int = 10_000_000_000
    auto_remove: bool = False  # it is removed once it has ended, whoever sees that first
    logging: LogRequest = LogRequest()
    post_start: tuple[HookSpec, ...] = ()  # for who starts and stops it: nothing here runs them by itself
    pre_stop: tuple[HookSpec, ...] = ()
    runtime: str = ""  # another OCI runtime by name or path; "" = the built-in one


def all_links(spec: ContainerSpec) -> dict[str, str]:
    """Alias -> name of everything that only this container knows, of its networks too."""
    return dict((*spec.links, *(link for network in spec.networks for link in network.links)))


_TUPLES: dict[str, type] = {
    "ulimits": Ulimit,
    "devices": DeviceMapping,
    "device_requests": DeviceRequest,
    "mounts": MountRequest,
    "files": FileGrant,
    "networks": NetworkAttachment,
    "ports": PortRequest,
    "post_start": HookSpec,
    "pre_stop": HookSpec,
}
_SINGLE: dict[str, type] = {
    "resources": ResourceLimits,
    "healthcheck": Healthcheck,
    "restart": RestartPolicy,
    "logging": LogRequest,
    "block_limits": BlockLimits,
}
_DEFAULTS: dict[str, Any] = ContainerSpec._field_defaults


def to_json(spec: ContainerSpec) -> dict[str, Any]:
    """A JSON object with only the fields that differ from their defaults."""
    out: dict[str, Any] = {}
    values: tuple[Any, ...] = tuple(spec)
    for key, value in zip(spec._fields, values, strict=True):
        if key in _DEFAULTS and value == _DEFAULTS[key]:
            continue
        if key in _TUPLES:
            value = [_part_to_json(part) for part in value]
        elif key in _SINGLE:
            value = _part_to_json(value)
        out[key] = value
    return out


def from_json(data: Mapping[str, Any]) -> ContainerSpec:
    """The inverse of `to_json`. Raises TypeError for a field this version does not know."""
    fields: dict[str, Any] = {}
    for key, value in data.items():
        if key in _TUPLES:
            kind = _TUPLES[key]
            value = tuple(kind(**_tupled(part)) for part in value)
        elif key in _SINGLE:
            value = _SINGLE[key](**_tupled(value))
        elif key in ("environment", "extra_hosts", "links"):
            value = tuple((pair[0], pair[1]) for pair in value)
        elif isinstance(value, list):
            value = tuple(value)
        fields[key] = value
    return ContainerSpec(**fields)


def _part_to_json(part: Any) -> dict[str, Any]:
    defaults = part._field_defaults
    return {k: v for k, v in zip(part._fields, part, strict=True) if k not in defaults or v != defaults[k]}


def _tupled(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: tuple(tuple(item) if isinstance(item, list) else item for item in v) if isinstance(v, list) else v
        for k, v in part.items()
    }
