"""What the whole specification asks for beyond `setup`: rewrites its steps for the containers of the OCI command. Pure.

The shim's containers are made by our own `generate`, which uses a part of the specification. An engine's bundle may
ask for all of it; the steps only such bundles need are planned here and carried out in `oci_steps`, so that a start
by the shim loads neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runtime.container.setup import SetupStep, plan_identity, plan_setup
from runtime.errors import InvalidError
from runtime.linux import constants as k
from runtime.linux.mounts import parse_options

if TYPE_CHECKING:
    from runtime.oci.spec import Mount, Process, Spec

_SCHED_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_PERSONALITIES = {"LINUX": 0x0, "LINUX32": 0x8}
_MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
_MEMORY_FLAGS = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}


class Surroundings(NamedTuple):
    """What the plan depends on beside the configuration."""

    cgroup_mounts: tuple[tuple[str, str, str], ...]
    cgroup_directories: tuple[str, ...]
    root_parent: str  # the mount point that holds the root filesystem
    pivot: bool = True


def prepared_mounts(spec: Spec) -> tuple[int, ...]:
    """Numbers of the mounts whose source tree the caller opens beforehand, with the privileges of the host.

    In a user namespace the sources may be out of reach, and an idmapped mount can only be made outside it.
    """
    in_user_namespace = "user" in _own(spec)
    return tuple(
        number
        for number, mount in enumerate(spec.get("mounts", ()))
        if _is_bind(mount) and (in_user_namespace or is_idmapped(mount)) and not _is_remount(mount)
    )


def is_idmapped(mount: Mount) -> bool:
    """Whether the mount's owners are to be mapped."""
    return bool(
        mount.get("uidMappings") or parse_options(mount.get("options", [])).extensions & {"idmap", "ridmap"}
    )


def plan_oci_setup(spec: Spec, surroundings: Surroundings, *, hooked: bool) -> tuple[SetupStep, ...]:
    """The steps of `plan_setup`, with those of the rest of the specification among them.

    `hooked`: the caller runs hooks just before the root is changed. Raises KeyError for an unknown word.
    """
    own = _own(spec)
    rewritten: list[SetupStep] = [SetupStep("open labels")]
    new = {n["type"] for n in spec["linux"]["namespaces"] if not n.get("path")}
    if "network" in new:
        rewritten.append(SetupStep("bring up loopback"))
    steps = plan_setup(spec, rootfs=spec["root"]["path"], cgroup_mounts=surroundings.cgroup_mounts)
    numbers = iter(range(len(spec.get("mounts", []))))
    prepared = prepared_mounts(spec)
    devices = 0
    for step in steps:
        if step.op in ("bind", "mount", "mount cgroups on"):
            number = next(numbers)
            tree = prepared.index(number) if number in prepared else -1
            rewritten.append(_mounting_step(spec, step, tree, surroundings))
        elif "mount" not in own and step.op in _WITHOUT_MOUNT_NAMESPACE:
            rewritten += _shared_mount_steps(step)
        elif step.op == "set propagation of":
            rewritten += _propagation_steps(spec, step, surroundings)
        elif step.op == "change root to":
            rewritten += _root_steps(spec, step, hooked=hooked, pivot=surroundings.pivot)
        elif step.op == "make device" and "user" in own:
            # Nobody may make device nodes in a user namespace: the caller has made them, after the other trees.
            rewritten.append(step._replace(op="bind device", value=(step.value, len(prepared) + devices)))
            devices += 1
        else:
            rewritten.append(step)
        if step.op == "open root" and "user" in own:
            # Only now: the way to the root may be open to the caller alone.
            rewritten.append(SetupStep("take root of the user namespace"))
            if "ipc" in new:
                rewritten.append(SetupStep("make ipc namespace"))
    return tuple(rewritten)


def plan_oci_identity(
    spec: Spec, process: Process, *, seccomp: bytes | None, seccomp_flags: int, permitted: int
) -> tuple[SetupStep, ...]:
    """The steps of `plan_identity`, with scheduling, labels and the search for the program among them.

    Raises KeyError for an unknown word, InvalidError.
    """
    steps = plan_identity(process, seccomp=seccomp, permitted=permitted, die_with_parent=False)
    rewritten: list[SetupStep] = plan_scheduling(process)
    keep_groups = (
        spec.get("annotations", {}).get("run.oci.keep_original_groups") == "1"
    )  # podman's keep-groups
    personality, policy = spec["linux"].get("personality"), spec["linux"].get("memoryPolicy")
    if personality is not None:
        if personality.get("flags"):
            raise InvalidError("linux.personality.flags are not supported, the specification has none")
        rewritten.append(SetupStep("set personality", value=_PERSONALITIES[personality["domain"]]))
    if policy is not None:
        mode = _MEMORY_MODES[policy["mode"]]
        for flag in policy.get("flags", ()):
            mode |= _MEMORY_FLAGS[flag]
        nodes = mask_of_list(policy.get("nodes", ""))
        if nodes >> k.MAX_NUMNODES:
            raise InvalidError(f"linux.memoryPolicy.nodes {policy['nodes']!r}: no kernel has so many")
        rewritten.append(SetupStep("set memory policy", value=(mode, nodes)))
    for step in steps:
        if step.op == "load seccomp filter":
            step = step._replace(value=(step.value, seccomp_flags))
        if step.op == "become user" and keep_groups:
            step = step._replace(value=step.value._replace(groups=None))
        if step.op == "own stdio":
            step = step._replace(value=(process["user"]["uid"], process["user"]["gid"]))
            where = (process["cwd"], tuple(process.get("env", ())))
            rewritten.append(SetupStep("find program", process["args"][0], value=where))
        if step.op == "set oom score":
            continue  # done from outside: the container's /proc is not to be trusted
        if step.op == "set umask":
            rewritten += plan_labels(process)
        rewritten.append(step)
    return tuple(rewritten)


def plan_scheduling(process: Process) -> list[SetupStep]:
    """process.scheduler and process.ioPriority."""
    steps: list[SetupStep] = []
    scheduler, priority = process.get("scheduler"), process.get("ioPriority")
    if scheduler is not None:
        flags = 0
        for flag in scheduler.get("flags", ()):
            flags |= _SCHED_FLAGS[flag]
        value = (
            _SCHED_POLICIES[scheduler["policy"]],
            flags,
            scheduler.get("nice", 0),
            scheduler.get("priority", 0),
            scheduler.get("runtime", 0),
            scheduler.get("deadline", 0),
            scheduler.get("period", 0),
        )
        steps.append(SetupStep("set scheduler", scheduler["policy"], value=value))
    if priority is not None:
        level = _IO_CLASSES[priority["class"]] << k.IOPRIO_CLASS_SHIFT | priority.get("priority", 0)
        steps.append(SetupStep("set io priority", priority["class"], value=level))
    return steps


def plan_labels(process: Process) -> list[SetupStep]:
    """AppArmor profile and SELinux label, applied at the coming exec."""
    steps: list[SetupStep] = []
    if process.get("apparmorProfile"):
        steps.append(SetupStep("set apparmor profile", process["apparmorProfile"]))
    if process.get("selinuxLabel"):
        steps.append(SetupStep("set selinux label", process["selinuxLabel"]))
    return steps


_MAX_NUMBER = 8191  # of a processor or memory node, in any kernel


def mask_of_list(text: str) -> int:
    """A list such as "0-2,4" (cpuset(7)) as a bit mask. Raises InvalidError."""
    mask = 0
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise InvalidError(f"{text!r} is not a list of numbers such as 0-2,4")
        if int(last or first) > _MAX_NUMBER:
            raise InvalidError(f"{text!r}: numbers end at {_MAX_NUMBER}")
        for number in range(int(first), int(last or first) + 1):
            mask |= 1 << number
    return mask


def _own(spec: Spec) -> frozenset[str]:
    return frozenset(namespace["type"] for namespace in spec["linux"]["namespaces"])


def _is_bind(mount: Mount) -> bool:
    return mount.get("type") == "bind" or any(word in ("bind", "rbind") for word in mount.get("options", ()))


def _is_remount(mount: Mount) -> bool:
    return "remount" in mount.get("options", ())


# In the mount namespace of the caller nothing of the caller's may be changed: the root stays where it is, and what is
# mounted below it is taken away by `delete`.
_WITHOUT_MOUNT_NAMESPACE = ("set propagation of", "open root", "change root to", "make root read-only")


def _shared_mount_steps(step: SetupStep) -> list[SetupStep]:
    if step.op == "make root read-only":
        raise InvalidError("root.readonly needs a mount namespace", hint="it would make the host's read-only")
    renamed = {"open root": "use root", "change root to": "confine to root"}.get(step.op)
    return [step._replace(op=renamed)] if renamed else []


def _propagation_steps(spec: Spec, step: SetupStep, around: Surroundings) -> list[SetupStep]:
    """Shared is kept for binds that ask for it; the mount that holds the root must not be (pivot_root(2))."""
    word = spec["linux"].get("rootfsPropagation", "")
    if "shared" in word:
        return [step, SetupStep("set propagation of", around.root_parent, value=k.MS_PRIVATE)]
    return [step._replace(value=k.MS_REC | (k.MS_PRIVATE if word.endswith("private") else k.MS_SLAVE))]


def _root_steps(spec: Spec, step: SetupStep, *, hooked: bool, pivot: bool) -> list[SetupStep]:
    steps = [SetupStep("run hooks")] if hooked else []
    steps.append(step if pivot else step._replace(op="move root to"))
    word = spec["linux"].get("rootfsPropagation", "")
    if word:
        steps.append(SetupStep("set propagation of", "/", value=parse_options([word]).propagation))
    return steps


def _mounting_step(spec: Spec, step: SetupStep, tree: int, around: Surroundings) -> SetupStep:
    if step.op == "bind":
        return _bind_step(step, tree)
    if step.op == "mount":
        return _mount_step(step, spec["linux"].get("mountLabel", ""))
    return _cgroup_step(step, _own(spec), around)


def _bind_step(step: SetupStep, tree: int) -> SetupStep:
    options = step.value.options
    if options.flags & k.MS_REMOUNT:
        return step._replace(op="remount")
    if tree >= 0:
        return step._replace(op="attach", value=(options, tree))
    return step


def _mount_step(step: SetupStep, label: str) -> SetupStep:
    detail = step.value
    if detail.options.flags & k.MS_REMOUNT:
        return step._replace(op="remount")
    if label and detail.fstype not in ("proc", "sysfs"):
        data = ",".join(filter(None, (detail.options.data, f'context="{label}"')))
        detail = detail._replace(options=detail.options._replace(data=data))
    return step._replace(value=detail)


def _cgroup_step(step: SetupStep, own: frozenset[str], around: Surroundings) -> SetupStep:
    options, layout = step.value
    triples = tuple(
        (name, kind, data, directory)
        for (name, kind, data), directory in zip(layout, around.cgroup_directories, strict=True)
    )
    return step._replace(value=(options, triples, "cgroup" in own))
