"""`Service`: one kind of container, with every attribute of the Compose Specification. Pure.

Times are nanoseconds, sizes bytes, `cpus` processors. None = not given where that differs from empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from composer.model.deploy import Deploy
from composer.model.parts import (
    BlkioConfig,
    Build,
    CredentialSpec,
    Dependency,
    Develop,
    Device,
    DeviceRequest,
    Grant,
    Healthcheck,
    Hook,
    Logging,
    ModelUse,
    Mount,
    NetworkUse,
    Port,
    Provider,
    Ulimit,
)


@dataclass(frozen=True, slots=True)
class Service:
    """Attributes in the order of the specification; env_file, label_file and extends are already carried out."""

    name: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    attach: bool = True
    blkio_config: BlkioConfig | None = None
    build: Build | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroup: str = ""
    cgroup_parent: str = ""
    command: tuple[str, ...] | None = None
    configs: tuple[Grant, ...] = ()
    container_name: str = ""
    cpu_count: int = 0
    cpu_percent: float = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpu_shares: int = 0
    cpus: float = 0
    cpuset: str = ""
    credential_spec: CredentialSpec | None = None
    depends_on: Mapping[str, Dependency] = field(default_factory=dict)
    deploy: Deploy | None = None
    develop: Develop | None = None
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    dns: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    domainname: str = ""
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    expose: tuple[str, ...] = ()
    external_links: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # NAME=ADDRESS
    gpus: tuple[DeviceRequest, ...] = ()
    group_add: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    hostname: str = ""
    image: str = ""
    init: bool | None = None
    ipc: str = ""
    isolation: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    logging: Logging | None = None
    mac_address: str = ""
    mem_limit: int = 0
    mem_reservation: int = 0
    mem_swappiness: int | None = None
    memswap_limit: int = 0
    models: Mapping[str, ModelUse | None] = field(default_factory=dict)
    network_mode: str = ""
    networks: Mapping[str, NetworkUse | None] = field(default_factory=dict)
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    pid: str = ""
    pids_limit: int = 0
    platform: str = ""
    ports: tuple[Port, ...] = ()
    post_start: tuple[Hook, ...] = ()
    pre_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    privileged: bool = False
    profiles: tuple[str, ...] = ()
    provider: Provider | None = None
    pull_policy: str = ""
    pull_refresh_after: str = ""
    read_only: bool = False
    restart: str = ""
    runtime: str = ""
    scale: int | None = None
    secrets: tuple[Grant, ...] = ()
    security_opt: tuple[str, ...] = ()
    shm_size: int = 0
    stdin_open: bool = False
    stop_grace_period: int | None = None
    stop_signal: str = ""
    storage_opt: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    tmpfs: tuple[str, ...] = ()
    tty: bool = False
    ulimits: Mapping[str, Ulimit] = field(default_factory=dict)
    use_api_socket: bool = False
    user: str = ""
    userns_mode: str = ""
    uts: str = ""
    volumes: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    working_dir: str = ""
    extensions: Mapping[str, object] = field(default_factory=dict)  # x- keys

    @property
    def replicas(self) -> int:
        """How many containers are wanted: scale, else deploy.replicas, else 1."""
        if self.scale is not None:
            return self.scale
        if self.deploy is not None and self.deploy.replicas is not None:
            return self.deploy.replicas
        return 1
