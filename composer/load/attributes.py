"""The one table of what becomes of every attribute of the Compose Specification. Pure.

`support` warns and refuses by it, docs/compatibility.md is made from it (`composer.output.compatibility`), and a test
fails when the JSON Schema has an attribute that the table has not. `*` stands for any key, `[]` for any item.
"""

from enum import Enum
from functools import cache
from typing import NamedTuple

from composer.load.rules import words


class Status(Enum):
    """HONOURED: it does what it says. WARNED: valid, without effect, told once. REFUSED: `up` ends with an error."""

    HONOURED = "honoured"
    WARNED = "warned"
    REFUSED = "refused"


class Support(NamedTuple):
    """What becomes of one attribute. `note`: why not, or with which bounds; `better`: what the reference lacks."""

    status: Status
    note: str = ""
    better: str = ""


_UPDATE = "parallelism delay failure_action monitor max_failure_ratio order"
_HOOK = "command user privileged working_dir environment"
_HONOURED = {
    "": "name include services networks volumes configs secrets models",
    "include[]": "path env_file project_directory",
    "services.*": """
        annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs container_name
        cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset depends_on deploy develop
        device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file environment expose extends
        external_links extra_hosts gpus group_add healthcheck hostname image init ipc isolation label_file labels
        links logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit models network_mode
        networks oom_kill_disable oom_score_adj pid pids_limit platform ports post_start pre_start pre_stop
        privileged profiles provider pull_policy read_only restart runtime scale secrets security_opt shm_size
        stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes
        volumes_from working_dir
        """,
    "services.*.blkio_config": """
        device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device
        """,
    "services.*.blkio_config.device_read_bps[]": "path rate",
    "services.*.blkio_config.device_read_iops[]": "path rate",
    "services.*.blkio_config.device_write_bps[]": "path rate",
    "services.*.blkio_config.device_write_iops[]": "path rate",
    "services.*.blkio_config.weight_device[]": "path weight",
    "services.*.build": """
        additional_contexts args cache_from cache_to context dockerfile dockerfile_inline entitlements extra_hosts
        labels network no_cache no_cache_filter platforms privileged pull secrets shm_size ssh tags target ulimits
        """,
    "services.*.build.secrets[]": "source target",
    "services.*.build.ulimits.*": "soft hard",
    "services.*.configs[]": "source target uid gid mode",
    "services.*.depends_on.*": "condition required restart",
    "services.*.deploy": "mode replicas resources restart_policy rollback_config update_config",
    "services.*.deploy.resources": "limits reservations",
    "services.*.deploy.resources.limits": "cpus memory pids",
    "services.*.deploy.resources.reservations": "memory devices",
    "services.*.deploy.resources.reservations.devices[]": "capabilities count device_ids driver",
    "services.*.deploy.restart_policy": "condition delay max_attempts window",
    "services.*.develop": "watch",
    "services.*.develop.watch[]": "path action target ignore include initial_sync exec",
    "services.*.develop.watch[].exec": _HOOK,
    "services.*.deploy.rollback_config": _UPDATE,
    "services.*.deploy.update_config": _UPDATE,
    "services.*.devices[]": "source target permissions",
    "services.*.env_file[]": "path required format",
    "services.*.extends": "service file",
    "services.*.gpus[]": "capabilities count device_ids driver",
    "services.*.healthcheck": "disable test interval timeout retries start_period start_interval",
    "services.*.logging": "driver options",
    "services.*.models.*": "endpoint_var model_var",
    "services.*.networks.*": """
        aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority
        """,
    "services.*.post_start[]": _HOOK,
    "services.*.pre_start[]": f"{_HOOK} image per_replica",
    "services.*.pre_stop[]": _HOOK,
    "services.*.ports[]": "app_protocol host_ip mode name protocol published target",
    "services.*.provider": "type options",
    "services.*.secrets[]": "source target uid gid mode",
    "services.*.ulimits.*": "soft hard",
    "services.*.volumes[]": "type source target read_only bind volume tmpfs image",
    "services.*.volumes[].bind": "propagation create_host_path recursive selinux",
    "services.*.volumes[].volume": "labels nocopy subpath",
    "services.*.volumes[].tmpfs": "size mode",
    "services.*.volumes[].image": "subpath",
    "models.*": "name model",
    "networks.*": "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name",
    "networks.*.ipam": "config options",
    "networks.*.ipam.config[]": "subnet ip_range gateway aux_addresses",
    "networks.*.external": "name",
    "volumes.*": "name driver driver_opts external labels",
    "volumes.*.external": "name",
    "secrets.*": "name environment file external labels",
    "secrets.*.external": "name",
    "configs.*": "name environment file external labels content",
    "configs.*.external": "name",
}

_NOT_YET = "not honoured yet"
_FOR_TOOLS = "for people and tools, in what `config` prints"
_SWARM = "it is for a swarm of machines, and this is one"
_WINDOWS = "it is for Windows containers"

_WARNED: tuple[tuple[str, str, str], ...] = (
    ("", "version", "it is obsolete"),
    ("services.*", "cpu_count cpu_percent", _WINDOWS),
    ("services.*", "pull_refresh_after", _NOT_YET),
    ("services.*.build", "isolation", _WINDOWS),
    ("services.*.build", "provenance sbom", _NOT_YET),
    ("services.*.build.secrets[]", "uid gid mode", "it is RUN --mount=type=secret that sets them"),
    ("services.*.deploy", "endpoint_mode labels placement", _SWARM),
    ("services.*.deploy.placement", "constraints preferences max_replicas_per_node", _SWARM),
    ("services.*.deploy.placement.preferences[]", "spread", _SWARM),
    ("services.*.deploy.resources.reservations", "cpus generic_resources", _SWARM),
    ("services.*.deploy.resources.reservations.generic_resources[]", "discrete_resource_spec", _SWARM),
    (
        "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec",
        "kind value",
        _SWARM,
    ),
    ("services.*.deploy.resources.reservations.devices[]", "options", "no CDI device takes any"),
    ("services.*.gpus[]", "options", "no CDI device takes any"),
    ("services.*.volumes[]", "consistency", "host and container always see the same here"),
    ("models.*", "context_size runtime_flags", "it is the runner that sets it"),
    ("networks.*.ipam", "driver", "there is one driver, `default`"),
    ("secrets.*", "driver driver_opts template_driver", _SWARM),
    ("configs.*", "template_driver", _SWARM),
)
_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("services.*", "credential_spec", f"{_WINDOWS}: remove it"),
    ("services.*.credential_spec", "config file registry", _WINDOWS),
    ("services.*", "use_api_socket", "there is no Docker API and so no socket of one; remove it"),
)
# Bounds of what is honoured.
_NOTES = {
    "services.*.cgroup_parent": "a path in every hierarchy; `NAME.slice` is spelled as systemd spells it",
    "services.*.cpu_rt_period": "needs a kernel with real-time group scheduling; else a warning names the file",
    "services.*.cpu_rt_runtime": "needs a kernel with real-time group scheduling; else a warning names the file",
    "services.*.deploy.mode": "`replicated`, `replicated-job`; `global` counts as one replica and is told",
    "services.*.gpus": "by CDI specifications of the host (/etc/cdi, /var/run/cdi)",
    "services.*.ipc": "`host`, `none`, `private`, `shareable`, `service:NAME`, `container:NAME`",
    "services.*.isolation": "`default`; what Windows has besides is refused",
    "services.*.mem_swappiness": "cgroup v1 only: v2 has no such file, and a warning says so",
    "services.*.models": "the runner is found by the variable MODEL_RUNNER_URL",
    "services.*.oom_kill_disable": "cgroup v1 only: v2 has no such file, and a warning says so",
    "services.*.pid": "`host`, `service:NAME`, `container:NAME`",
    "services.*.security_opt": (
        "`no-new-privileges`, `seccomp=FILE|unconfined|builtin`, `systempaths=unconfined`,"
        " `apparmor=PROFILE|unconfined`, `label=disable` and, where SELinux is on, `label=…`"
    ),
    "services.*.storage_opt": "`size`, where the data directory is on XFS or ext4 with project quotas; else refused",
    "services.*.sysctls": "those of the container's own namespaces; the others are refused",
    "services.*.ports[].app_protocol": _FOR_TOOLS,
    "services.*.ports[].mode": f"{_FOR_TOOLS}: on one machine `host` and `ingress` are the same",
    "services.*.ports[].name": _FOR_TOOLS,
    "services.*.userns_mode": "`host`, and `auto[:size=N]` for a range of ids of its own; others are refused",
    "services.*.uts": "`host`",
    "services.*.volumes[].bind.selinux": "where SELinux is on nothing is relabelled, and a warning says so",
    "services.*.volumes[].volume.labels": "of an anonymous volume; a named one has those of its definition",
    "services.*.volumes[].type": "`bind`, `volume`, `tmpfs`, `image`; `npipe` and `cluster` are refused",
    "networks.*.ipam.options": "`com.docker.network.ipam.serial`",
    "volumes.*.driver": "`local`; others are refused",
    "volumes.*.driver_opts": "`type`, `o`, `device`, as mount(8) has them",
    "secrets.*.external": "refused when a service asks for it: there is nobody to get it from",
    "secrets.*.labels": _FOR_TOOLS,
    "secrets.*.name": _FOR_TOOLS,
    "configs.*.labels": _FOR_TOOLS,
    "configs.*.name": _FOR_TOOLS,
    "configs.*.external": "refused when a service asks for it: there is nobody to get it from",
}
_BETTER = {
    "services.*.secrets[].uid": "also for `file:`",
    "services.*.secrets[].gid": "also for `file:`",
    "services.*.secrets[].mode": "also for `file:`",
    "services.*.configs[].uid": "also for `file:`",
    "services.*.configs[].gid": "also for `file:`",
    "services.*.configs[].mode": "also for `file:`",
    "services.*.sysctls": "refused before anything is made, with what is allowed",
}


def _paths(prefix: str, names: str) -> list[str]:
    return [f"{prefix}.{name}" if prefix else name for name in words(names)]


@cache
def attributes() -> dict[str, Support]:
    """Attribute -> what becomes of it, for every attribute there is."""
    table = {
        path: Support(Status.HONOURED, _NOTES.get(path, ""), _BETTER.get(path, ""))
        for prefix, names in _HONOURED.items()
        for path in _paths(prefix, names)
    }
    for status, rows in ((Status.WARNED, _WARNED), (Status.REFUSED, _REFUSED)):
        for prefix, names, note in rows:
            table |= {path: Support(status, note, _BETTER.get(path, "")) for path in _paths(prefix, names)}
    return table


# Options of the bridge, macvlan and ipvlan drivers; others are told.
NETWORK_OPTIONS = frozenset(
    words(
        "com.docker.network.bridge.name com.docker.network.bridge.enable_icc"
        " com.docker.network.bridge.enable_ip_masquerade com.docker.network.bridge.host_binding_ipv4"
        " com.docker.network.bridge.inhibit_ipv4 com.docker.network.bridge.trusted_host_interfaces"
        " com.docker.network.bridge.gateway_mode_ipv4 com.docker.network.bridge.gateway_mode_ipv6"
        " com.docker.network.driver.mtu com.docker.network.container_iface_prefix"
        " parent macvlan_mode ipvlan_mode ipvlan_flag"
    )
)
IPAM_OPTIONS = frozenset(("com.docker.network.ipam.serial",))
ENDPOINT_OPTIONS = frozenset(("com.docker.network.endpoint.sysctls", "com.docker.network.endpoint.ifname"))
