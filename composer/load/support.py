"""The one list of what the engine honours, and a warning for everything else that a file asks for. Pure.

An attribute that is valid but not in these tables is accepted, printed by `config` and announced as not honoured.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from composer.load.command_line import left_out
from composer.load.mounts import is_windows_path
from composer.load.origins import Marks, Path, dotted
from composer.load.rules import words

HONOURED_SERVICE = frozenset(
    words(
        """
        attach
        build
        cap_add
        cap_drop
        command
        configs
        container_name
        cpu_period
        cpu_quota
        cpu_shares
        cpus
        cpuset
        depends_on
        deploy
        dns
        dns_opt
        dns_search
        domainname
        entrypoint
        env_file
        environment
        expose
        extends
        external_links
        extra_hosts
        group_add
        healthcheck
        hostname
        image
        init
        label_file
        labels
        links
        logging
        mac_address
        mem_limit
        mem_reservation
        memswap_limit
        network_mode
        networks
        oom_score_adj
        pids_limit
        platform
        ports
        post_start
        pre_start
        pre_stop
        privileged
        profiles
        pull_policy
        read_only
        restart
        runtime
        scale
        secrets
        security_opt
        shm_size
        stdin_open
        stop_grace_period
        stop_signal
        sysctls
        tmpfs
        tty
        ulimits
        user
        volumes
        working_dir
        """
    )
)
# Attributes of which only these parts are honoured.
HONOURED_PARTS: Mapping[str, frozenset[str]] = {
    "build": frozenset(
        words(
            "context dockerfile dockerfile_inline entitlements args ssh labels cache_from cache_to no_cache"
            " no_cache_filter additional_contexts network pull target shm_size extra_hosts privileged secrets tags"
            " ulimits platforms"
        )
    ),
    "deploy": frozenset(("replicas", "resources", "restart_policy", "mode", "update_config")),
    "deploy.update_config": frozenset(
        words("parallelism delay failure_action monitor max_failure_ratio order")
    ),
    "deploy.resources": frozenset(("limits", "reservations")),
    "deploy.resources.limits": frozenset(("cpus", "memory", "pids")),
    "deploy.resources.reservations": frozenset(("memory",)),
    "deploy.restart_policy": frozenset(("condition", "delay", "max_attempts", "window")),
    "networks.*": frozenset(
        words(
            "aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address"
            " priority"
        )
    ),
    "networks.*.driver_opts": frozenset(("com.docker.network.endpoint.sysctls",)),
    "ports.*": frozenset(words("app_protocol host_ip mode name protocol published target")),
    "volumes.*": frozenset(("type", "source", "target", "read_only", "bind", "volume", "tmpfs")),
    "volumes.*.bind": frozenset(("propagation", "create_host_path", "recursive")),
    "volumes.*.volume": frozenset(("nocopy",)),
    "volumes.*.tmpfs": frozenset(("size", "mode")),
    "depends_on.*": frozenset(("condition", "required", "restart")),
}
HONOURED_NETWORK_OPTIONS = frozenset(
    words(
        "com.docker.network.bridge.name com.docker.network.bridge.enable_icc"
        " com.docker.network.bridge.enable_ip_masquerade com.docker.network.bridge.host_binding_ipv4"
        " com.docker.network.driver.mtu com.docker.network.container_iface_prefix"
        " parent macvlan_mode ipvlan_mode"
    )
)
HONOURED_SECURITY = ("no-new-privileges", "seccomp=unconfined", "seccomp:unconfined")
HONOURED_RESOURCE: Mapping[str, frozenset[str]] = {
    "networks": frozenset(
        words("attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name")
    ),
    "volumes": frozenset(("name", "driver", "external", "labels")),
    "secrets": frozenset(words("environment external file labels name")),
    "configs": frozenset(words("content environment external file labels name")),
}


def unsupported(tree: Mapping[str, Any], active: Iterable[str], marks: Marks) -> Iterator[str]:
    """One complete warning line per attribute that is valid but not honoured; command lines are still text."""
    for name in active:
        for path in _service_paths(tree["services"][name]):
            where: Path = ("services", name, *path)
            yield _line(where, marks, f"service {name!r}: {dotted(path)} is not honoured yet")
        yield from _operators(name, tree["services"][name], marks)
        yield from _drive_letters(name, tree["services"][name], marks)
        yield from _discarded_ports(name, tree["services"][name], marks)
    for section, honoured in HONOURED_RESOURCE.items():
        for key, item in (tree.get(section) or {}).items():
            for attribute in item or ():
                if attribute not in honoured and not attribute.startswith("x-") and item[attribute]:
                    message = f"{section[:-1]} {key!r}: {attribute} is not honoured yet"
                    yield _line((section, key, attribute), marks, message)
    for key, item in (tree.get("networks") or {}).items():
        for path in (*_ipam_paths((item or {}).get("ipam") or {}), *_unknown_options(item or {})):
            message = f"network {key!r}: {dotted(path)} is not honoured yet"
            yield _line(("networks", key, *path), marks, message)


def _ipam_paths(ipam: Mapping[str, Any]) -> Iterator[Path]:
    """What of `ipam` is left aside: another driver, and options."""
    if ipam.get("driver") not in (None, "", "default"):
        yield ("ipam", "driver")
    if ipam.get("options"):
        yield ("ipam", "options")


def _unknown_options(network: Mapping[str, Any]) -> Iterator[Path]:
    for option in network.get("driver_opts") or ():
        if option not in HONOURED_NETWORK_OPTIONS:
            yield ("driver_opts", option)


def _operators(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for attribute in ("command", "entrypoint"):
        rest = left_out(service[attribute]) if isinstance(service.get(attribute), str) else ""
        if rest:
            message = (
                f"service {name!r}: there is no shell, so {attribute} ends before {rest!r}; write sh -c '…'"
            )
            yield _line(("services", name, attribute), marks, message)


def _drive_letters(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    for index, mount in enumerate(service.get("volumes") or ()):
        for path in (mount.get("source") or "", mount.get("target") or ""):
            if is_windows_path(path):
                message = (
                    f"service {name!r}: {path!r} is read as a Windows path; volume names need two letters"
                )
                yield _line(("services", name, "volumes", index), marks, message)


def _discarded_ports(name: str, service: Mapping[str, Any], marks: Marks) -> Iterator[str]:
    if service.get("ports") and service.get("network_mode") in ("host", "none"):
        message = (
            f"service {name!r}: published ports have no effect with network_mode {service['network_mode']}"
        )
        yield _line(("services", name, "ports"), marks, message)


def _line(path: Path, marks: Marks, message: str) -> str:
    origin = marks.at(path)
    return f"warning: {origin}: {message}" if origin else f"warning: {message}"


def _service_paths(service: Mapping[str, Any]) -> Iterator[Path]:
    for attribute, value in service.items():
        if attribute.startswith("x-") or value is None or value is False or value in ("", [], {}):
            continue
        if attribute not in HONOURED_SERVICE:
            yield (attribute,)
        else:
            yield from _parts((attribute,), value, attribute)
    yield from _special(service)


def _parts(path: Path, value: Any, pattern: str) -> Iterator[Path]:
    """Parts of an honoured attribute that are not; each kind of part is named once."""
    honoured = HONOURED_PARTS.get(pattern)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if (
                honoured is not None
                and key not in honoured
                and not key.startswith("x-")
                and item not in (None, "", False)
            ):
                yield (*path, key)
            elif honoured is not None or f"{pattern}.*" in HONOURED_PARTS:
                inner = f"{pattern}.{key}" if honoured is not None else f"{pattern}.*"
                yield from _parts((*path, key), item, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parts((*path, index), item, f"{pattern}.*")


def _special(service: Mapping[str, Any]) -> Iterator[Path]:
    """Values that are not honoured although the attribute is."""
    for index, option in enumerate(service.get("security_opt") or ()):
        if not option.startswith(HONOURED_SECURITY):
            yield ("security_opt", index)
    for index, mount in enumerate(service.get("volumes") or ()):
        if mount.get("type") not in ("bind", "volume", "tmpfs"):
            yield ("volumes", index, "type")
    if (service.get("deploy") or {}).get("mode") not in (None, "", "replicated"):
        yield ("deploy", "mode")
