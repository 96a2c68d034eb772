"""What a container shares with others: namespaces it is born in, their /dev/shm. Done by a builder, for one start."""

import os

from runtime.errors import StateError
from runtime.linux import syscalls
from runtime.linux.borrowing import borrow_tree
from runtime.oci.spec import Namespace, Spec
from runtime.shim.state import read_live_state
from runtime.shim.task import ShimTask
from runtime.store.locks import is_locked


def borrow_shared_memory(task: ShimTask) -> int:
    """/dev/shm of the container whose IPC namespace is joined, as a detached tree; -1 where none is.

    Raises StateError, OSError.
    """
    owner = task.joined.get("ipc")
    return borrow_tree(_first_process(task, "ipc", owner), "/dev/shm") if owner else -1


def join_namespaces(task: ShimTask, spec: Spec) -> Spec:
    """Enter what the program is to be born in; the spec with the namespaces' paths. Raises StateError, OSError.

    Another runtime enters them itself, by these paths.
    """
    if not task.joined:
        return spec
    namespaces: list[Namespace] = []
    for namespace in spec["linux"].get("namespaces", ()):
        kind = namespace["type"]
        if kind in task.joined:
            namespace = {
                "type": kind,
                "path": f"/proc/{_first_process(task, kind, task.joined[kind])}/ns/{kind}",
            }
            if not task.spec.runtime:
                descriptor = os.open(namespace["path"], os.O_RDONLY | os.O_CLOEXEC)
                syscalls.setns(descriptor, 0)
                os.close(descriptor)
        namespaces.append(namespace)
    return {**spec, "linux": {**spec["linux"], "namespaces": namespaces}}


def _first_process(task: ShimTask, kind: str, container_id: str) -> int:
    directory = task.paths.live(container_id)
    live = read_live_state(directory)
    # Only with the lock held is it sure that the pid is that container's.
    if live is None or not live.pid or not is_locked(f"{directory}/lock"):
        raise StateError(
            f"the container whose {kind} namespace {task.spec.name} is to join does not run",
            hint="start that one first",
        )
    return live.pid
