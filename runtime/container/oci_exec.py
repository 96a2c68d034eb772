"""`exec` of the OCI command: another process in a container that any engine may have configured.

The namespaces are those in which the container's first process differs from us, whatever its configuration says; and
nothing is written through the container's own /proc.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runtime.cgroups.manager import Cgroup
from runtime.container import oci_steps
from runtime.container.child import Child
from runtime.container.console import open_console
from runtime.container.exec import ExecProcess, Manner, spawn_exec
from runtime.container.oci_cgroup import open_recorded
from runtime.container.oci_child import OciChild
from runtime.container.oci_setup import mask_of_list, plan_oci_identity
from runtime.container.setup import SetupStep, plan_exec_console
from runtime.container.state import CREATED, PAUSED, RUNNING, Record, StateDirectory, status_of
from runtime.errors import InvalidError, NotFoundError, StateError
from runtime.linux import syscalls
from runtime.linux.namespaces import FLAGS
from runtime.linux.paths import O_PATH
from runtime.linux.pidfd import open_checked
from runtime.linux.seccomp import filter_flags, load_program

if TYPE_CHECKING:
    from runtime.oci.spec import Process, Spec

_FILES = {"network": "net", "mount": "mnt"}


def exec_in_container(
    directory: StateDirectory,
    process: Process,
    *,
    preserve_fds: tuple[int, ...] = (),
    sub_cgroup: str = "",
    ignore_paused: bool = False,
) -> ExecProcess:
    """Run `process` (complete, checked) in the container. Raises EngineError."""
    record = directory.load()
    status = status_of(directory, record)
    if status not in (CREATED, RUNNING) and not (status == PAUSED and ignore_paused):
        raise StateError(f"cannot exec in container {directory.id}: it is {status}")
    spec = directory.load_spec()
    profile = spec["linux"].get("seccomp")
    program = load_program(profile, f"{directory.root}/.seccomp") if profile else None
    init_pidfd = open_checked(record.pid, record.pid_start)
    try:
        types = differing_namespaces(record.pid)
        return spawn_exec(
            process,
            init_pid=record.pid,
            init_pidfd=init_pidfd,
            cgroup=_cgroup(record, sub_cgroup),
            stdio=(0, 1, 2),
            seccomp_program=program,
            preserve_fds=preserve_fds,
            manner=plan_manner(spec, process, types),
        )
    finally:
        os.close(init_pidfd)


def differing_namespaces(pid: int) -> tuple[str, ...]:
    """Types of the namespaces in which a process is and we are not."""
    found = []
    for kind in FLAGS:
        name = _FILES.get(kind, kind)
        try:
            if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
                found.append(kind)
        except FileNotFoundError:
            continue  # a kernel without it
    return tuple(found)


def _cgroup(record: Record, sub_cgroup: str) -> Cgroup:
    cgroup = open_recorded(record)
    if not sub_cgroup:
        return cgroup
    _, _, path = sub_cgroup.rpartition(":")
    if ".." in path.split("/"):
        raise InvalidError(f"--cgroup {sub_cgroup!r}: `..` components are not allowed")
    below = cgroup.inside(path)
    if below is None:
        raise NotFoundError(
            f"cgroup {cgroup.path}/{path.strip('/')} does not exist",
            hint="--cgroup names one inside the container's",
        )
    return below


def plan_manner(spec: Spec, process: Process, types: tuple[str, ...]) -> Manner:
    """How to enter a container by joining namespaces of these types."""
    kept: list[int] = []
    flags = 0
    for kind in types:
        flags |= FLAGS[kind]
    first = [SetupStep("adopt /proc"), SetupStep("open labels")]
    if "user" in types:
        first.append(SetupStep("take root of the user namespace"))
    affinity = process.get("execCPUAffinity", {})

    def plan(process: Process, seccomp: bytes | None) -> tuple[SetupStep, ...]:
        profile = spec["linux"].get("seccomp")
        try:
            identity = plan_oci_identity(
                spec,
                process,
                seccomp=seccomp,
                seccomp_flags=filter_flags(profile) if profile else 0,
                permitted=syscalls.capget()[1],
            )
        except KeyError as error:
            raise InvalidError(f"unknown name in the process: {error.args[0]}") from None
        console = [plan_exec_console(process)] if process.get("terminal") else []
        last = [SetupStep("set cpu affinity", value=affinity["final"])] if affinity.get("final") else []
        return (*first, *console, *identity[:-1], *last, identity[-1])

    def before_joining() -> None:
        kept.append(os.open("/proc", O_PATH | os.O_CLOEXEC))
        if "oomScoreAdj" in process:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(process["oomScoreAdj"]))
        if affinity.get("initial"):
            _set_affinity(affinity["initial"])

    operations = {
        **oci_steps.OPERATIONS,
        "open console": open_console,
        "adopt /proc": _adopt_proc,
        "set cpu affinity": lambda child, step: _set_affinity(step.value),
    }
    return Manner(flags, operations, OciChild, plan, before_joining, kept)


def _adopt_proc(child: Child, step: SetupStep) -> None:
    assert isinstance(child, OciChild)
    child.proc_fd = child.extra_fds[0]


def _set_affinity(text: str) -> None:
    mask = mask_of_list(text)
    os.sched_setaffinity(0, [number for number in range(mask.bit_length()) if mask >> number & 1])
