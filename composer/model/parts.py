"""The parts of a service: frozen types with Compose's own words. Numbers carry their unit in the docstring. Pure.

Times are nanoseconds, sizes bytes, file modes numbers. None = not given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Extensions = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit; -1 = without limit."""

    soft: int
    hard: int
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Grant:
    """A secret or config a service may read. `mode` is a file mode."""

    source: str
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: int | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Build:
    """How to build the image. `shm_size` in bytes."""

    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    entitlements: tuple[str, ...] = ()
    args: Mapping[str, str | None] = field(default_factory=dict)
    ssh: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    additional_contexts: Mapping[str, str | None] = field(default_factory=dict)
    network: str = ""
    provenance: str = ""
    sbom: str = ""
    pull: bool = False
    target: str = ""
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    isolation: str = ""
    privileged: bool = False
    secrets: tuple[Grant, ...] = ()
    tags: tuple[str, ...] = ()
    ulimits: Mapping[str, Ulimit] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Times in nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int | None = None
    timeout: int | None = None
    retries: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    disable: bool = False
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Port:
    """One published port; `published` is a port or a range, "" = any free one."""

    target: int
    published: str = ""
    host_ip: str = ""
    protocol: str = "tcp"
    mode: str = "ingress"
    name: str = ""
    app_protocol: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class BindOptions:
    """Details of a bind mount."""

    propagation: str = ""
    create_host_path: bool = False
    recursive: str = ""
    selinux: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """Details of a volume."""

    labels: Mapping[str, str] = field(default_factory=dict)
    nocopy: bool = False
    subpath: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class TmpfsOptions:
    """Details of a memory file system: bytes, file mode."""

    size: int = 0
    mode: int | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """Details of an image mount."""

    subpath: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Mount:
    """One entry of `volumes`. `source` is a host path, the key of a volume or an image."""

    type: str
    target: str = ""
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Dependency:
    """One entry of depends_on."""

    condition: str
    required: bool = True
    restart: bool = False
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """How a service joins a network."""

    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    interface_name: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    gw_priority: int = 0
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host."""

    source: str
    target: str = ""
    permissions: str = "rwm"
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device by what it can do; a count of -1 = all."""

    capabilities: tuple[str, ...] = ()
    count: int = 0
    device_ids: tuple[str, ...] = ()
    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Hook:
    """A command at a point of a container's life; `image` and `per_replica` are those of pre_start only."""

    command: tuple[str, ...] | None = None
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    image: str = ""
    per_replica: bool = False
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Logging:
    """Where output goes."""

    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class WatchRule:
    """One rule of develop.watch."""

    path: str
    action: str
    target: str = ""
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    initial_sync: bool = False
    exec: Hook | None = None
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Develop:
    """What helps while developing."""

    watch: tuple[WatchRule, ...] = ()
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody else who provides the service."""

    type: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class CredentialSpec:
    """Credentials of a managed account (Windows)."""

    config: str = ""
    file: str = ""
    registry: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys


@dataclass(frozen=True, slots=True)
class DeviceRate:
    """Bytes or operations per second of one device."""

    path: str = ""
    rate: int = 0


@dataclass(frozen=True, slots=True)
class DeviceWeight:
    """Share of one device."""

    path: str = ""
    weight: int = 0


@dataclass(frozen=True, slots=True)
class BlkioConfig:
    """Bounds on block input and output."""

    weight: int = 0
    weight_device: tuple[DeviceWeight, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Names of the variables that tell a service about a model."""

    endpoint_var: str = ""
    model_var: str = ""
    extensions: Extensions = field(default_factory=dict, hash=False)  # x- keys
