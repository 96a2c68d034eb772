"""Whether a parsed config.json is a configuration the specification allows, before anything is done with it. Pure.

What is left to the kernel to refuse (impossible values of limits, file systems it lacks) is not checked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import normpath
from typing import TYPE_CHECKING, Any, cast

from runtime.errors import InvalidError, UnsupportedError
from runtime.oci.capabilities import NAMES

if TYPE_CHECKING:
    from runtime.oci.spec import Process, Spec

NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_PROPAGATIONS = (
    "",
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
    "unbindable",
    "runbindable",
)
_DEVICE_TYPES = ("c", "b", "u", "p")
_MAX_ID = (1 << 32) - 2

# What may be mounted over inside /proc: files that only inform (lxcfs does), nothing that a runtime writes to.
_PROC_WORDS = """
cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev sys/kernel/ns_last_pid sys/crypto/fips_enabled
"""
_PROC_FILES = frozenset(f"/proc/{name}" for name in _PROC_WORDS.split())

_RLIMIT_WORDS = """
AS CORE CPU DATA FSIZE LOCKS MEMLOCK MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING STACK
"""
_RLIMITS = frozenset(f"RLIMIT_{name}" for name in _RLIMIT_WORDS.split())
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"]
)


def check_spec(data: object) -> Spec:
    """The configuration as a Spec. Raises InvalidError or UnsupportedError, naming the property."""
    if not isinstance(data, dict):
        raise InvalidError("config.json does not hold a JSON object")
    _check_version(data.get("ociVersion"))
    root = data.get("root")
    if not isinstance(root, dict) or not isinstance(root.get("path"), str) or not root["path"]:
        raise InvalidError("config.json: root.path is missing", hint="it names the root filesystem's folder")
    linux = data.setdefault("linux", {})
    if not isinstance(linux, dict):
        raise InvalidError("config.json: linux is not an object")
    check_process(data.get("process"))
    own = _check_namespaces(linux)
    _check_names(data, own)
    _check_mounts(data.get("mounts") or [])
    _check_sysctls(linux.get("sysctl") or {}, own)
    _check_hooks(data.get("hooks") or {})
    _check_linux(linux)
    spec = cast("Spec", _without_nulls(data))
    spec["linux"].setdefault("namespaces", [])
    return spec


def check_process(process: object) -> Process:
    """The same for a process alone, as `exec --process` gets it."""
    if not isinstance(process, dict):
        raise InvalidError("config.json: process is missing")
    args = process.get("args")
    if not isinstance(args, list) or not args or not all(isinstance(arg, str) for arg in args) or not args[0]:
        raise InvalidError("process.args must not be empty", hint="it names the program and its arguments")
    cwd = process.get("cwd")
    if not isinstance(cwd, str) or not cwd.startswith("/"):
        raise InvalidError(f"process.cwd {cwd!r} is not an absolute path")
    user = process.get("user") or {}
    process["user"] = {**user, "uid": _id(user, "uid"), "gid": _id(user, "gid")}
    seen: set[str] = set()
    for limit in process.get("rlimits") or ():
        name = limit.get("type", "")
        if name not in _RLIMITS:
            raise InvalidError(f"process.rlimits: unknown type {name!r}")
        if name in seen:
            raise InvalidError(f"process.rlimits: {name} appears twice")
        if 0 <= limit["hard"] < limit["soft"]:
            raise InvalidError(f"process.rlimits: soft limit of {name} is above the hard one")
        seen.add(name)
    for kind, names in (process.get("capabilities") or {}).items():
        for name in names or ():
            if name not in NAMES:
                raise InvalidError(f"process.capabilities.{kind}: unknown capability {name!r}")
    for text in (*args, *(process.get("env") or ())):
        if "\0" in text:
            raise InvalidError("a NUL character in process.args or process.env")
    return cast("Process", _without_nulls(process))


def _without_nulls(value: Any) -> Any:
    """Go programs write `null` for an empty list or a missing value: both mean absent."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _check_version(version: object) -> None:
    if not isinstance(version, str) or not version:
        raise InvalidError("config.json: ociVersion is missing")
    major, _, rest = version.partition(".")
    if not major.isdigit() or not rest:
        raise InvalidError(f"config.json: ociVersion {version!r} is not a version number")
    if major != "1":
        raise UnsupportedError(f"config.json: ociVersion {version} is not supported", hint="versions 1.x are")


def _id(user: Mapping[str, Any], key: str) -> int:
    number = user.get(key) or 0
    if not isinstance(number, int) or not 0 <= number <= _MAX_ID:
        raise InvalidError(f"process.user.{key} {number!r} is not an id", hint=f"0 to {_MAX_ID}")
    return number


def _check_namespaces(linux: Mapping[str, Any]) -> dict[str, str]:
    """Type -> path ("" = to be created) of all namespaces the container does not share with the runtime."""
    own: dict[str, str] = {}
    for namespace in linux.get("namespaces") or ():
        kind, path = namespace.get("type"), namespace.get("path") or ""
        if kind not in NAMESPACES:
            raise InvalidError(
                f"linux.namespaces: unknown type {kind!r}", hint=f"known: {', '.join(NAMESPACES)}"
            )
        if kind in own:
            raise InvalidError(f"linux.namespaces: {kind} appears twice")
        if path and not path.startswith("/"):
            raise InvalidError(f"linux.namespaces: path {path!r} of {kind} is not absolute")
        own[kind] = path
    mappings = [*(linux.get("uidMappings") or ()), *(linux.get("gidMappings") or ())]
    if mappings and "user" not in own:
        raise InvalidError("linux.uidMappings and gidMappings need a user namespace")
    for mapping in mappings:
        if not all(
            isinstance(mapping.get(key), int) and mapping[key] >= 0 for key in ("containerID", "hostID")
        ):
            raise InvalidError(f"linux.uidMappings or gidMappings: impossible mapping {mapping!r}")
        if not isinstance(mapping.get("size"), int) or mapping["size"] <= 0:
            raise InvalidError(f"linux.uidMappings or gidMappings: impossible size in {mapping!r}")
    if linux.get("timeOffsets") and ("time" not in own or own["time"]):
        raise InvalidError("linux.timeOffsets need a new time namespace")
    return own


def _check_names(data: Mapping[str, Any], own: Mapping[str, str]) -> None:
    for key in ("hostname", "domainname"):
        if data.get(key) and "uts" not in own:
            raise InvalidError(f"{key} needs a uts namespace: it would rename the host")
    name, other = (
        data.get("domainname"),
        ((data.get("linux") or {}).get("sysctl") or {}).get("kernel.domainname"),
    )
    if name and other and name != other:
        raise InvalidError(f"domainname is {name!r}, and linux.sysctl kernel.domainname {other!r}")


def _check_mounts(mounts: Iterable[dict[str, Any]]) -> None:
    for mount in mounts:
        target = mount.get("destination")
        if not isinstance(target, str) or not target:
            raise InvalidError("mounts: a destination is missing")
        mount["destination"] = target = target if target.startswith("/") else f"/{target}"
        plain = normpath(target.replace("//", "/"))
        if plain.startswith("/proc/") and plain not in _PROC_FILES and mount.get("type") != "proc":
            raise InvalidError(
                f"mounts: {plain} cannot be mounted over, it is inside /proc",
                hint="a runtime that trusted it could be fooled; only informational files are allowed",
            )
        for key in ("uidMappings", "gidMappings"):
            if mount.get(key) and not mount.get("gidMappings" if key == "uidMappings" else "uidMappings"):
                raise InvalidError(f"mounts: {target} has only {key}", hint="both are needed")


def _check_sysctls(sysctls: Mapping[str, str], own: Mapping[str, str]) -> None:
    """Only those of a namespace the container does not share with the host."""
    for name in sysctls:
        spelled = name.replace("/", ".") if "." not in name.partition("/")[0] else name
        if ".." in spelled or spelled.startswith("."):
            raise InvalidError(f"linux.sysctl: impossible name {name!r}")
        if spelled.startswith("net."):
            needed = "network"
        elif spelled in _IPC_SYSCTLS or spelled.startswith("fs.mqueue."):
            needed = "ipc"
        elif spelled == "kernel.domainname":
            needed = "uts"
        else:
            raise InvalidError(
                f"linux.sysctl: {name} is not of a namespace, it would change the whole machine"
            )
        if needed not in own:
            raise InvalidError(f"linux.sysctl: {name} needs a {needed} namespace")


def _check_hooks(hooks: Mapping[str, Any]) -> None:
    for kind, entries in hooks.items():
        for hook in (entries or ()) if kind in HOOKS else ():
            if not str(hook.get("path", "")).startswith("/"):
                raise InvalidError(f"hooks.{kind}: path {hook.get('path')!r} is not absolute")
            if hook.get("timeout") is not None and hook["timeout"] <= 0:
                raise InvalidError(f"hooks.{kind}: timeout of {hook['path']} is not greater than zero")


def _check_linux(linux: Mapping[str, Any]) -> None:
    word = linux.get("rootfsPropagation") or ""
    if word not in _PROPAGATIONS:
        raise InvalidError(f"linux.rootfsPropagation: unknown word {word!r}")
    for device in linux.get("devices") or ():
        if device.get("type") not in _DEVICE_TYPES or not str(device.get("path", "")).startswith("/"):
            raise InvalidError(f"linux.devices: impossible device {device!r}")
    for key in ("maskedPaths", "readonlyPaths"):
        for path in linux.get(key) or ():
            if not path.startswith("/"):
                raise InvalidError(f"linux.{key}: {path!r} is not absolute")
    if linux.get("intelRdt"):
        raise UnsupportedError(
            "linux.intelRdt is not supported: cache and memory bandwidth are not divided",
            hint="leave it out of config.json",
        )
    if linux.get("netDevices"):
        raise UnsupportedError(
            "linux.netDevices is not supported", hint="move the device by a createRuntime hook"
        )
