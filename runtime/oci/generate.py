"""ContainerSpec + ImageConfig -> Spec: Docker's defaults written down as an OCI configuration. Pure.

What must be looked up on the machine is passed in: the user's numbers, the host's devices for `privileged`, the
capabilities and hard limits this process can hand on. What comes out of each attribute is one function here.
"""

from collections.abc import Collection, Mapping, Sequence
from posixpath import normpath
from typing import NamedTuple

from runtime.errors import InvalidError
from runtime.oci import capabilities
from runtime.oci.container_spec import ContainerSpec
from runtime.oci.devices import parse_device_rule
from runtime.oci.image_config import ImageConfig
from runtime.oci.resources import LARGEST, plan_resources
from runtime.oci.seccomp_profile import default_profile
from runtime.oci.security import SecurityOptions, check_sysctls, parse_security_options
from runtime.oci.spec import (
    OCI_VERSION,
    Device,
    DeviceRule,
    Hook,
    Linux,
    Mount,
    Namespace,
    Process,
    Rlimit,
    Spec,
)
from runtime.oci.user import ResolvedUser

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT_SHM_BYTES = 64 << 20
_UNLIMITED = (1 << 64) - 1

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_RLIMIT_WORDS = """
as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
"""
_RLIMITS = frozenset(_RLIMIT_WORDS.split())


class LookedUp(NamedTuple):
    """What the machine answered: devices by their numbers, what CDI adds, and what the kernel has."""

    devices: Sequence[Device] = ()
    rules: Sequence[DeviceRule] = ()
    mounts: Sequence[Mount] = ()
    environment: Sequence[str] = ()
    groups: Sequence[int] = ()
    hooks: Mapping[str, list[Hook]] = {}
    block_numbers: Mapping[str, tuple[int, int]] = {}
    machine: str = ""  # uname(2)
    kernel: str = ""
    apparmor: bool = False
    selinux: bool = False


def generate(
    container: ContainerSpec,
    image: ImageConfig,
    *,
    container_id: str,
    user: ResolvedUser,
    cgroups_path: str,
    rootfs_path: str,
    extra_mounts: Sequence[Mount] = (),
    network_path: str = "",
    host_devices: Sequence[Device] = (),
    looked_up: LookedUp = LookedUp(),  # noqa: B008 (a tuple)
    available_capabilities: Collection[str] = capabilities.NAMES,
    hard_limits: Mapping[str, int] | None = None,
    warnings: list[str] | None = None,
) -> Spec:
    """The OCI configuration of a container.

    `extra_mounts` come after the standard ones, in their order, and replace one with the same destination.
    `network_path` names a network namespace to be joined by another runtime; ours inherits it.
    `looked_up` is what the machine answered to what the container asks for. `host_devices` are given to a privileged
    container. `hard_limits` (RLIMIT_NOFILE -> number) are those that cannot be exceeded; what was lowered or left out
    is appended to `warnings`. Raises InvalidError.
    """
    security = parse_security_options(container.security_opt, privileged=container.privileged)
    caps = capabilities.choose_capabilities(
        container.cap_add,
        container.cap_drop,
        privileged=container.privileged,
        available=available_capabilities,
    )
    told = warnings if warnings is not None else []
    process: Process = {
        "args": plan_args(container, image),
        "cwd": _cwd(container.working_dir or image.working_dir),
        "user": {
            "uid": user.uid,
            "gid": user.gid,
            "additionalGids": [*user.additional_gids, *looked_up.groups],
        },
        "env": [
            *plan_environment(container, image, container_id=container_id, home=user.home),
            *looked_up.environment,
        ],
        "terminal": container.tty,
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        "rlimits": _rlimits(container, hard_limits or {}, told),
        "noNewPrivileges": security.no_new_privileges,
    }
    if container.console_size:
        process["consoleSize"] = {"height": container.console_size[0], "width": container.console_size[1]}
    if container.oom_score_adj:
        process["oomScoreAdj"] = container.oom_score_adj
    _label(process, security, looked_up, told)
    if looked_up.selinux:
        told += [
            f"{mount.source} is not relabelled for SELinux (selinux: {mount.selinux}): give it a label that"
            " containers may use, as `chcon -Rt container_file_t`"
            for mount in container.mounts
            if mount.selinux
        ]
    spec: Spec = {
        "ociVersion": OCI_VERSION,
        "root": {"path": rootfs_path, "readonly": container.read_only},
        "process": process,
        "hostname": container.hostname or container_id[:12],
        "mounts": _mounts(container, (*extra_mounts, *looked_up.mounts)),
        "linux": _linux(container, security, caps, cgroups_path, network_path, looked_up),
    }
    if container.privileged:
        spec["linux"]["devices"] = [*host_devices, *looked_up.devices]
    if looked_up.hooks:
        spec["hooks"] = dict(looked_up.hooks)
    if container.annotations:
        spec["annotations"] = dict(container.annotations)
    if container.domainname:
        spec["domainname"] = container.domainname
    return spec


def _label(process: Process, security: SecurityOptions, looked_up: LookedUp, told: list[str]) -> None:
    """Names for AppArmor and SELinux, where the kernel has them."""
    if security.apparmor and looked_up.apparmor:
        process["apparmorProfile"] = security.apparmor
    elif security.apparmor:
        told.append(f"AppArmor is not enabled in this kernel: profile {security.apparmor} is not applied")
    if security.selinux and looked_up.selinux:
        process["selinuxLabel"] = security.selinux
    elif security.selinux:
        told.append(f"SELinux is not enabled in this kernel: label {security.selinux} is not applied")


def plan_args(container: ContainerSpec, image: ImageConfig) -> list[str]:
    """Docker's rule: an entrypoint of the container's own takes the image's command away as well.

    Raises InvalidError if nothing is left to run.
    """
    if container.entrypoint is not None:
        args = [*container.entrypoint, *(container.command or ())]
    else:
        command = image.cmd if container.command is None else container.command
        args = [*image.entrypoint, *command]
    if not args or not args[0]:
        raise InvalidError(
            f"no command specified for container {container.name}",
            hint="the image names none; set `command` or `entrypoint`",
        )
    for text in args:
        if "\0" in text:
            raise InvalidError(f"a NUL character in the command of container {container.name}")
    return args


def plan_environment(
    container: ContainerSpec, image: ImageConfig, *, container_id: str, home: str
) -> list[str]:
    """KEY=value strings: PATH, HOSTNAME, TERM, then the image's, then the container's, HOME if nobody gave it."""
    variables: dict[str, str] = {"PATH": DEFAULT_PATH, "HOSTNAME": container.hostname or container_id[:12]}
    if container.tty:
        variables["TERM"] = "xterm"
    for item in image.env:
        name, _, value = item.partition("=")
        if name:
            variables[name] = value
    for name, given in container.environment:
        if not name or "=" in name or "\0" in f"{name}{given or ''}":
            raise InvalidError(f"impossible environment variable {name!r} in container {container.name}")
        if given is None:
            variables.pop(name, None)
        else:
            variables[name] = given
    variables.setdefault("HOME", home)
    return [f"{name}={value}" for name, value in variables.items()]


def _cwd(path: str) -> str:
    return normpath(f"/{path.lstrip('/')}")


def _rlimits(container: ContainerSpec, ceilings: Mapping[str, int], warnings: list[str]) -> list[Rlimit]:
    limits: list[Rlimit] = []
    for ulimit in container.ulimits:
        if ulimit.name not in _RLIMITS:
            raise InvalidError(
                f"unknown ulimit {ulimit.name!r} in container {container.name}",
                hint=f"known: {', '.join(sorted(_RLIMITS))}",
            )
        name = f"RLIMIT_{ulimit.name.upper()}"
        soft, hard = (_UNLIMITED if value < 0 else value for value in (ulimit.soft, ulimit.hard))
        if soft > hard:
            raise InvalidError(f"ulimit {ulimit.name}: soft limit {ulimit.soft} is above hard {ulimit.hard}")
        ceiling = ceilings.get(name, _UNLIMITED)
        if hard > ceiling:
            warnings.append(
                f"ulimit {ulimit.name} of container {container.name} lowered to {ceiling}: "
                "more needs CAP_SYS_RESOURCE, which this process does not have"
            )
            soft, hard = min(soft, ceiling), ceiling
        limits.append({"type": name, "soft": soft, "hard": hard})
    return limits


def _mount(destination: str, kind: str, source: str, *options: str) -> Mount:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def _mounts(container: ContainerSpec, extra: Sequence[Mount]) -> list[Mount]:
    """runtime-spec config-linux.md: default filesystems, with Docker's options."""
    access = "rw" if container.privileged else "ro"
    shared_memory = container.ipc not in ("host", "none") and not container.ipc.startswith("container:")
    closed = ("nosuid", "noexec", "nodev")
    size = container.shm_size_bytes or _DEFAULT_SHM_BYTES
    standard = [
        _mount("/proc", "proc", "proc", *closed),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
            "gid=5",
        ),
        _mount("/sys", "sysfs", "sysfs", *closed, access),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *closed, "relatime", access),
        _mount("/dev/mqueue", "mqueue", "mqueue", *closed),
        _mount("/dev/shm", "tmpfs", "shm", *closed, "mode=1777", f"size={size}"),
    ]
    if container.ipc == "host":
        standard[-1] = _mount("/dev/shm", "bind", "/dev/shm", "rbind", "rprivate")
    elif not shared_memory:
        standard.pop()  # "none" has none; that of another container comes with `extra`
    taken = {normpath(mount["destination"]) for mount in extra}
    return [mount for mount in standard if mount["destination"] not in taken] + list(extra)


def _linux(
    container: ContainerSpec,
    security: SecurityOptions,
    caps: Sequence[str],
    cgroups_path: str,
    network_path: str,
    looked_up: LookedUp,
) -> Linux:
    own_network = container.network_mode != "host"
    rules = [parse_device_rule(text) for text in container.device_cgroup_rules]
    linux: Linux = {
        "namespaces": _namespaces(container),
        "cgroupsPath": cgroups_path,
        "resources": plan_resources(
            container.resources,
            privileged=container.privileged,
            device_rules=[*looked_up.rules, *rules],
            block=container.block_limits,
            block_numbers=looked_up.block_numbers,
        ),
        "sysctl": _sysctls(container, own_network),
        "devices": list(looked_up.devices),
        "maskedPaths": [] if security.unmasked else list(MASKED_PATHS),
        "readonlyPaths": [] if security.unmasked else list(READ_ONLY_PATHS),
    }
    if container.id_range:
        from runtime.oci.user_mapping import IdRange

        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = linux["gidMappings"] = IdRange(*container.id_range).mappings
    if own_network:
        joined = {"type": "network", "path": network_path} if network_path else {"type": "network"}
        linux["namespaces"].append(joined)  # type: ignore[arg-type]
    if security.profile:
        from runtime.oci.seccomp_file import parse_seccomp

        linux["seccomp"] = parse_seccomp(
            security.profile, capabilities=caps, machine=looked_up.machine, kernel=looked_up.kernel
        )
    elif security.seccomp:
        linux["seccomp"] = default_profile(caps)
    return linux


def _namespaces(container: ContainerSpec) -> list[Namespace]:
    """Those made anew; one of another container's is listed too, and its path filled in when that runs."""
    shared = {"pid": container.pid, "ipc": container.ipc, "uts": container.uts, "cgroup": container.cgroup}
    return [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup") if shared.get(kind) != "host"]


def check_container(container: ContainerSpec) -> None:
    """Refuse what no machine can give, before anything is made. Raises InvalidError."""
    parse_security_options(container.security_opt, privileged=container.privileged)
    check_sysctls(
        container.sysctls,
        own_network=container.network_mode != "host",
        own_ipc=container.ipc != "host",
        container=container.name,
    )
    for name, value, kinds in (
        ("ipc", container.ipc, ("host", "none", "private", "shareable", "container:")),
        ("pid", container.pid, ("host", "container:")),
        ("uts", container.uts, ("host",)),
        ("cgroup", container.cgroup, ("host", "private")),
    ):
        if value and not any(value == kind or (kind[-1] == ":" and value.startswith(kind)) for kind in kinds):
            raise InvalidError(
                f"{name}: {value!r} of container {container.name} is not known",
                hint=f"known: {', '.join(kinds).replace('container:', 'service:NAME, container:NAME')}",
            )
    if container.userns:
        from runtime.oci.user_mapping import check_user_namespace

        check_user_namespace(container)
    if container.uts == "host" and (container.hostname or container.domainname):
        raise InvalidError(f"container {container.name}: a hostname and uts: host contradict each other")
    if ".." in container.cgroup_parent.split("/"):
        raise InvalidError(f"cgroup_parent {container.cgroup_parent!r} leads out of the cgroups")
    for text in container.device_cgroup_rules:
        parse_device_rule(text)
    sizes = [container.shm_size_bytes, *(mount.size_bytes for mount in container.mounts)]
    for size in sizes:
        if not 0 <= size <= LARGEST:
            raise InvalidError(f"container {container.name}: the size {size} is out of range")
    for mount in container.mounts:
        for word in mount.options:
            # The kernel would take a number beyond its own range modulo that range.
            if word.startswith("size=") and not word.endswith("%"):
                raise InvalidError(f"tmpfs {mount.target}: {word} is no size, or out of range")
    plan_resources(container.resources, privileged=container.privileged)
    _rlimits(container, {}, [])


def _sysctls(container: ContainerSpec, own_network: bool) -> dict[str, str]:
    check_sysctls(
        container.sysctls,
        own_network=own_network,
        own_ipc=container.ipc != "host",
        container=container.name,
    )
    # As Docker does: any user may bind low ports and send pings inside a network namespace of its own.
    last_group = container.id_range[1] - 1 if container.id_range else 2147483647
    defaults = {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": f"0 {last_group}",
    }
    return {**(defaults if own_network else {}), **container.sysctls}
