"""From an OCI Spec to the ordered list of steps that turn a new child into the container. Pure.

The order, and what depends on it:

    propagation, root          the child's mounts part from the host's; the root becomes a mount point
    mounts, devices, links     resolved beneath the root by openat2, before anything of the container runs
    pivot                      from here on every path is the container's own
    names, sysctls             while /proc/sys is writable
    console                    needs the container's /dev/pts
    workdir                    while the root is writable
    read-only, masks, root     last changes of the mount table
    keyring, session, …        `plan_identity`, shared with exec: who the process is; privileges go last

`init.py` and `identity.py` carry the steps out; `describe()` is what `--debug` prints and an error names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.linux import constants as k
from runtime.linux.capabilities import mask_of
from runtime.linux.mounts import MountOptions, parse_options

if TYPE_CHECKING:
    from runtime.oci.spec import Device, Mount, Process, Spec


class SetupStep(NamedTuple):
    """One thing to do. `op` chooses the function, `target` is what it is done to, `value` what else it needs."""

    op: str
    target: str = ""
    source: str = ""
    value: Any = None

    def describe(self) -> str:
        """The step in words, for people."""
        words = [self.op]
        if self.source:
            words.append(f"{self.source} on" if self.target else self.source)
        if self.target:
            words.append(self.target)
        return " ".join(words)


class MountDetail(NamedTuple):
    """What a mount step needs beside source and target."""

    fstype: str
    options: MountOptions


class Identity(NamedTuple):
    """Numbers a process is to have; capability sets are bit masks."""

    uid: int
    gid: int
    groups: tuple[int, ...] | None  # None keeps the caller's
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int


# runtime-spec config-linux.md: default devices; (path, major, minor).
_DEVICES = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
# runtime-linux.md: dev symbolic links; /dev/ptmx as config-linux.md asks.
_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)


def plan_setup(
    spec: Spec, *, rootfs: str, cgroup_mounts: Sequence[tuple[str, str, str]] = ()
) -> tuple[SetupStep, ...]:
    """The steps for a container's root filesystem and names, in order.

    `rootfs` is the absolute path of the root as the child sees it; `cgroup_mounts` are (directory below
    /sys/fs/cgroup or "", file system type, data), for mounts of type cgroup. Raises KeyError for an unknown word.
    """
    linux = spec["linux"]
    own = {namespace["type"] for namespace in linux.get("namespaces", ())}
    steps = [
        SetupStep("set propagation of", "/", value=_propagation(linux.get("rootfsPropagation", ""))),
        SetupStep("open root", rootfs),
    ]
    mounts = spec.get("mounts", [])
    steps += [_plan_mount(mount, cgroup_mounts) for mount in mounts]
    if not any(_is_bind(mount) and mount["destination"].rstrip("/") == "/dev" for mount in mounts):
        steps += _plan_devices(linux.get("devices", []))
    steps.append(SetupStep("change root to", rootfs))
    if "uts" in own:
        if spec.get("hostname"):
            steps.append(SetupStep("set host name", spec["hostname"]))
        if spec.get("domainname"):
            steps.append(SetupStep("set domain name", spec["domainname"]))
    for name, text in linux.get("sysctl", {}).items():
        steps.append(SetupStep("set sysctl", name, value=text))
    process = spec["process"]
    if process.get("terminal"):
        steps.append(_plan_console(process, bind=True))
    steps.append(SetupStep("make working directory", process["cwd"]))
    steps += [SetupStep("make read-only", path) for path in linux.get("readonlyPaths", ())]
    steps += [SetupStep("mask", path) for path in linux.get("maskedPaths", ())]
    if spec["root"].get("readonly"):
        steps.append(SetupStep("make root read-only", "/"))
    return tuple(steps)


def plan_first(spec: Spec) -> tuple[SetupStep, ...]:
    """What has to be done while /proc and the mounts are still the host's.

    A tree that is to stay a peer of the host's is taken before propagation is cut off. Labels for the program that is
    exec'ed are written to the host's /proc; the container's could lead anywhere.
    """
    process = spec["process"]
    labels = {
        "apparmor": f"exec {process['apparmorProfile']}" if process.get("apparmorProfile") else "",
        "selinux": process.get("selinuxLabel", ""),
    }
    return (
        *(
            SetupStep("hold tree", mount["source"])
            for mount in spec.get("mounts", ())
            if _is_bind(mount) and {"shared", "rshared"} & set(mount.get("options", ()))
        ),
        *(SetupStep("label program", module, value=text) for module, text in labels.items() if text),
    )


def plan_identity(
    process: Process, *, seccomp: bytes | None, permitted: int, die_with_parent: bool
) -> tuple[SetupStep, ...]:
    """The steps that make a child the process it is to be; the same for a container's first process and exec.

    `permitted` are the capabilities the caller can hand on, as a bit mask: OCI asks runtimes to leave out the
    others (config.md: capabilities). Raises KeyError for an unknown capability.
    """
    steps = [SetupStep("join new session keyring"), SetupStep("start session")]
    if "oomScoreAdj" in process:
        steps.append(SetupStep("set oom score", value=process["oomScoreAdj"]))
    steps += [
        SetupStep("limit", limit["type"], value=(limit["soft"], limit["hard"]))
        for limit in process.get("rlimits", ())
    ]
    user = process["user"]
    steps.append(SetupStep("own stdio", value=user["uid"]))
    no_new_privileges = process.get("noNewPrivileges", False)
    if seccomp is not None and not no_new_privileges:
        # Without no_new_privs the kernel asks for CAP_SYS_ADMIN, which the next steps take away (seccomp(2)).
        steps.append(SetupStep("load seccomp filter", value=seccomp))
    steps.append(SetupStep("enter", process["cwd"], value="as root"))
    steps.append(
        SetupStep("become user", f"{user['uid']}:{user['gid']}", value=_plan_credentials(process, permitted))
    )
    steps.append(SetupStep("enter", process["cwd"]))
    steps.append(SetupStep("set umask", value=user.get("umask", 0o022)))
    if die_with_parent:
        steps.append(SetupStep("die with parent"))
    if no_new_privileges:
        steps.append(SetupStep("forbid new privileges"))
        if seccomp is not None:
            steps.append(SetupStep("load seccomp filter", value=seccomp))
    return tuple(steps)


def plan_exec_console(process: Process) -> SetupStep:
    """The console of an exec: a terminal of the container, not bound to its /dev/console."""
    return _plan_console(process, bind=False)


def _plan_console(process: Process, *, bind: bool) -> SetupStep:
    size = process.get("consoleSize")
    rows_columns = (size["height"], size["width"]) if size else (0, 0)
    return SetupStep(
        "open console", "/dev/console" if bind else "", value=(process["user"]["uid"], rows_columns)
    )


def _plan_credentials(process: Process, permitted: int) -> Identity:
    user, sets = process["user"], process.get("capabilities", {})
    return Identity(
        uid=user["uid"],
        gid=user["gid"],
        groups=tuple(user.get("additionalGids", ())),
        bounding=mask_of(sets.get("bounding", ())) & permitted,
        effective=mask_of(sets.get("effective", ())) & permitted,
        permitted=mask_of(sets.get("permitted", ())) & permitted,
        inheritable=mask_of(sets.get("inheritable", ())) & permitted,
        ambient=mask_of(sets.get("ambient", ())) & permitted,
    )


def _propagation(word: str) -> int:
    # Slave by default: what the host mounts later below a bound directory with "rslave" still arrives,
    # and nothing of the container's ever reaches the host.
    return parse_options([word or "rslave"]).propagation or k.MS_SLAVE | k.MS_REC


def _is_bind(mount: Mount) -> bool:
    return mount.get("type") == "bind" or any(word in ("bind", "rbind") for word in mount.get("options", ()))


def _plan_mount(mount: Mount, cgroup_mounts: Sequence[tuple[str, str, str]]) -> SetupStep:
    options = parse_options(mount.get("options", []))
    target, source = mount["destination"], mount.get("source", "")
    if _is_bind(mount):
        return SetupStep("bind", target, source, MountDetail("", options))
    kind = mount.get("type", "")
    if kind in ("cgroup", "cgroup2"):
        return SetupStep("mount cgroups on", target, value=(options, tuple(cgroup_mounts)))
    return SetupStep("mount", target, source or kind, MountDetail(kind, options))


def _plan_devices(extra: Sequence[Device]) -> list[SetupStep]:
    given = {device["path"] for device in extra}
    steps: list[SetupStep] = []
    for path, major, minor in _DEVICES:
        if path not in given:
            standard = {"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
            steps.append(SetupStep("make device", path, value=standard))
    steps += [SetupStep("make device", device["path"], value=device) for device in extra]
    steps += [SetupStep("link", target, source) for source, target in _LINKS]
    return steps
