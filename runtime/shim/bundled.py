"""Starts a container's program as one of an engine's bundle is (`container.create`), in the world its builder has made.

That way costs more than `container.init`, which starts all others, and can more: it joins the user namespace of a
container with ids of its own, and runs hooks (of CDI devices). Loaded only for a container that wants one of these.
"""

import os
import resource
import stat
from collections.abc import Callable, Sequence

from runtime.container.create import Options, create_container
from runtime.container.oci_start import start_now
from runtime.container.state import StateDirectory
from runtime.oci.spec import Namespace, Process, Spec
from runtime.oci.user_mapping import IdRange
from runtime.shim.external import with_init
from runtime.shim.task import ShimTask


def start_bundled(
    task: ShimTask,
    spec: Spec,
    stdio: tuple[int, int, int],
    user_namespace: int,
    born: Callable[[int, int], None],
) -> tuple[int, int]:
    """Start the program; (pid, console or -1). `born` is told its pid and pidfd before it runs.

    `user_namespace` is a descriptor, -1 = the host's. Takes the caller's standard streams for it. Raises StartError,
    InvalidError, OSError.
    """
    folder = task.paths.container(task.container_id)
    if task.spec.init:
        spec = with_init(spec, folder)
    joined = {"network": "/proc/self/ns/net"}
    if user_namespace >= 0:
        joined["user"] = f"/proc/self/fd/{user_namespace}"
        _raise_limits(spec["process"])
        _give_streams(stdio, spec["process"], IdRange(*task.spec.id_range))
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number)
    state = f"{task.paths.state}/other-runtime"
    StateDirectory(state, task.container_id).remove()  # a killed builder's
    namespaces: list[Namespace] = [
        {"type": item["type"], "path": joined[item["type"]]} if item["type"] in joined else item
        for item in spec["linux"]["namespaces"]
    ]
    spec = {**spec, "linux": {**spec["linux"], "namespaces": namespaces}}
    created = create_container(spec, task.container_id, Options(root=state, bundle=folder), waiting=False)
    try:
        born(created.record.pid, created.pidfd)
        start_now(created)
    finally:
        created.directory.remove()  # the shim knows it, and nobody else asks
    return created.record.pid, created.console


def _raise_limits(process: Process) -> None:
    """In a user namespace a limit can only be lowered: what is to be higher the program inherits from here."""
    for limit in process.get("rlimits", ()):
        kind = getattr(resource, limit["type"])
        hard = resource.getrlimit(kind)[1]
        wanted = resource.RLIM_INFINITY if limit["hard"] >= 1 << 63 else limit["hard"]
        if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
            resource.setrlimit(kind, (hard, wanted))


def _give_streams(stdio: Sequence[int], process: Process, ids: IdRange) -> None:
    """A program may open /dev/stdout again; inside, nobody can give it pipes that belong to the host's root."""
    user = process["user"]
    for descriptor in stdio:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, ids.outside(user["uid"]), ids.outside(user["gid"]))
