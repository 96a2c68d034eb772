"""Containers and volumes as JSON objects with the field names that `docker inspect` has. Contents of secrets are never
part of them. Pure.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runtime import Container, ContainerSpec, Endpoint, Healthcheck, MountRequest, ProbeResult, VolumeRow

_NEVER = "0001-01-01T00:00:00Z"
_SECOND_NS = 1_000_000_000
_DEFAULT_NETWORK = "bridge"
_NOWHERE = {
    "Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPAddress": "", "IPPrefixLen": 0,
    "IPv6Gateway": "", "MacAddress": "",
}  # fmt: skip


class Surroundings(NamedTuple):
    """What an engine knows of a container beside the container itself. `volumes`: target -> (name, folder)."""

    endpoints: Sequence[Endpoint] = ()
    volumes: Mapping[str, tuple[str, str]] = {}
    image: Mapping[str, Any] = {}  # the configuration it inherits: Cmd, Entrypoint, Env, …
    log_path: str = ""
    stop_signal: str = ""
    probes: Sequence[ProbeResult] = ()  # of its health check, the newest last


def describe_container(container: Container, around: Surroundings) -> dict[str, Any]:
    """One object of `container inspect`."""
    spec = container.spec
    entrypoint, command = _program(spec, around.image)
    words = [*entrypoint, *command]
    return {
        "Id": container.id,
        "Created": moment(container.created_ns),
        "Path": words[0] if words else "",
        "Args": words[1:],
        "State": _state(container, around.probes),
        "Image": container.image_id,
        "LogPath": around.log_path,
        "Name": f"/{container.name}",
        "RestartCount": container.live.restarts if container.live else 0,
        "Driver": "overlay",
        "Platform": "linux",
        "HostConfig": _host_config(spec),
        "Mounts": [_mount(mount, around.volumes) for mount in spec.mounts]
        + [
            _mount(MountRequest("volume", target), around.volumes)
            for target in around.volumes
            if target not in {mount.target for mount in spec.mounts}
        ]
        + [
            {"Type": "tmpfs", "Source": "", "Destination": grant.target, "Mode": "", "RW": False}
            for grant in spec.files
        ],
        "Config": _config(spec, container, around, entrypoint, command),
        "NetworkSettings": _network_settings(container, around.endpoints),
    }


def describe_volume(volume: VolumeRow, options: Mapping[str, str]) -> dict[str, Any]:
    """One object of `volume inspect`; `options` are its driver_opts."""
    return {
        "CreatedAt": moment(volume.created_ns),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volume.folder,
        "Name": volume.name,
        "Options": dict(options),
        "Scope": "local",
    }


def moment(time_ns: int) -> str:
    """RFC 3339 with nanoseconds, in UTC; Docker's "never" for 0."""
    if not time_ns:
        return _NEVER
    seconds, rest = divmod(time_ns, _SECOND_NS)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"


def _program(spec: ContainerSpec, image: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Entrypoint and command; an entrypoint of one's own does without the image's command."""
    inherited = list(image.get("Cmd") or ()) if spec.entrypoint is None else []
    entrypoint = list(image.get("Entrypoint") or ()) if spec.entrypoint is None else list(spec.entrypoint)
    return entrypoint, inherited if spec.command is None else list(spec.command)


def _state(container: Container, probes: Sequence[ProbeResult]) -> dict[str, Any]:
    live, ended = container.live, container.exit
    state: dict[str, Any] = {
        "Status": container.status,
        "Running": container.status in ("running", "paused", "restarting"),
        "Paused": container.status == "paused",
        "Restarting": container.status == "restarting",
        "OOMKilled": bool(ended and ended.oom_killed),
        "Dead": False,
        "Pid": live.pid if live else 0,
        "ExitCode": ended.code if ended else (live.exit_code if live else 0),
        "Error": ended.error if ended else "",
        "StartedAt": moment(live.started_ns if live else ended.started_ns if ended else 0),
        "FinishedAt": moment(ended.finished_ns if ended else 0),
    }
    if live and live.health:
        state["Health"] = {
            "Status": live.health,
            "FailingStreak": live.failing_streak,
            "Log": [
                {
                    "Start": moment(probe.started_ns),
                    "End": moment(probe.ended_ns),
                    "ExitCode": probe.code,
                    "Output": probe.output,
                }
                for probe in probes
            ],
        }
    return state


def _config(
    spec: ContainerSpec, container: Container, around: Surroundings, entrypoint: list[str], command: list[str]
) -> dict[str, Any]:
    image = around.image
    variables = dict(item.partition("=")[::2] for item in image.get("Env") or ())
    for name, value in spec.environment:
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    ports = [f"{port.container_port}/{port.protocol}" for port in spec.ports]
    ports += [
        port if "/" in port else f"{port}/tcp" for port in (*spec.expose, *(image.get("ExposedPorts") or ()))
    ]
    check = spec.healthcheck
    return {
        "Hostname": spec.hostname or container.id[:12],
        "Domainname": spec.domainname,
        "User": spec.user or image.get("User") or "",
        "AttachStdin": spec.stdin_open,
        "AttachStdout": True,
        "AttachStderr": True,
        "ExposedPorts": {port: {} for port in ports},
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StdinOnce": False,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Cmd": command or None,
        **({"Healthcheck": _healthcheck(check)} if check is not None else {}),
        "Image": spec.image,
        "Volumes": {target: {} for target in around.volumes} or None,
        "WorkingDir": spec.working_dir or image.get("WorkingDir") or "",
        "Entrypoint": entrypoint or None,
        "Labels": {**(image.get("Labels") or {}), **spec.labels},
        "StopSignal": around.stop_signal,
        "StopTimeout": spec.stop_grace_period_ns // _SECOND_NS,
    }


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    limits = spec.resources
    return {
        "Binds": [
            f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
            for mount in spec.mounts
            if mount.type in ("bind", "volume") and mount.source
        ]
        or None,
        "LogConfig": {"Type": spec.logging.driver or "local", "Config": dict(spec.logging.options)},
        "CgroupParent": spec.cgroup_parent,
        "CgroupnsMode": spec.cgroup or "private",
        "IpcMode": spec.ipc or "private",
        "PidMode": spec.pid,
        "UTSMode": spec.uts,
        "UsernsMode": spec.userns,
        "VolumesFrom": list(spec.volumes_from) or None,
        "Devices": [
            {"PathOnHost": item.source, "PathInContainer": item.target, "CgroupPermissions": item.permissions}
            for item in spec.devices
        ],
        "NetworkMode": spec.network_mode or (spec.networks[0].network if spec.networks else "default"),
        "PortBindings": _bindings(
            (port.container_port, port.protocol, port.host_ip, str(port.host_port or ""))
            for port in spec.ports
        ),
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.max_retries},
        "AutoRemove": spec.auto_remove,
        "CapAdd": list(spec.cap_add) or None,
        "CapDrop": list(spec.cap_drop) or None,
        "Dns": list(spec.dns),
        "DnsOptions": list(spec.dns_opt),
        "DnsSearch": list(spec.dns_search),
        "ExtraHosts": [f"{name}:{address}" for name, address in spec.extra_hosts] or None,
        "GroupAdd": list(spec.group_add) or None,
        "OomScoreAdj": spec.oom_score_adj,
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": list(spec.security_opt) or None,
        "Sysctls": dict(spec.sysctls),
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in spec.ulimits],
        "ShmSize": spec.shm_size_bytes or 64 << 20,
        "Runtime": spec.runtime or "pycompose",
        "Init": spec.init,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_swap_bytes,
        "MemoryReservation": limits.memory_reservation_bytes,
        "NanoCpus": limits.nano_cpus,
        "CpuShares": limits.cpu_shares,
        "CpuPeriod": limits.cpu_period_us,
        "CpuQuota": limits.cpu_quota_us,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "PidsLimit": limits.pids_limit or None,
    }


def _mount(mount: MountRequest, volumes: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    name, folder = volumes.get(mount.target, ("", ""))
    return {
        "Type": mount.type,
        **({"Name": name, "Driver": "local"} if mount.type == "volume" else {}),
        "Source": folder or mount.source,
        "Destination": mount.target,
        "Mode": "",
        "RW": not mount.read_only,
        "Propagation": mount.propagation or ("rprivate" if mount.type == "bind" else ""),
    }


def _bindings(ports: Any) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for container_port, protocol, host_ip, host_port in ports:
        found.setdefault(f"{container_port}/{protocol}", []).append(
            {"HostIp": host_ip, "HostPort": host_port}
        )
    return found


def _network_settings(container: Container, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    published = container.live.ports if container.live else ()
    networks = {endpoint.network_name: _endpoint(endpoint) for endpoint in endpoints}
    # What Docker has known since there was but one network: the addresses in that one.
    first = networks.get(_DEFAULT_NETWORK, _NOWHERE)
    return {
        **{key: first[key] for key in _NOWHERE},
        "Ports": _bindings(
            (port.container_port, port.protocol, port.host_ip, str(port.host_port or ""))
            for port in published
        ),
        "Networks": networks,
    }


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    by_family = {address.is_ipv6: address for address in endpoint.addresses}
    four, six = by_family.get(False), by_family.get(True)
    return {
        "Aliases": list(endpoint.names),
        "MacAddress": endpoint.mac,
        "NetworkID": endpoint.network_id,
        "Gateway": four.gateway if four else "",
        "IPAddress": four.address if four else "",
        "IPPrefixLen": four.prefix_length if four else 0,
        "IPv6Gateway": six.gateway if six else "",
        "GlobalIPv6Address": six.address if six else "",
        "GlobalIPv6PrefixLen": six.prefix_length if six else 0,
        "DNSNames": list(endpoint.names),
    }
