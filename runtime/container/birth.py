"""How a container's first process is born into namespaces that are made for it and others it joins.

    no namespace needs more        parent ──clone3──► child
    a pid or time namespace is     parent ──clone3──► intermediate: joins, then clone3(CLONE_PARENT) ──► child
    joined, or a user namespace
    stands beside joined ones

A pid or time namespace holds only what is born in it, and who has entered a user namespace may no longer join those
of the host: hence the intermediate, which joins with the caller's privileges and ends.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from runtime.container import sync
from runtime.container.child import make_channel, settle
from runtime.errors import InvalidError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.namespaces import FLAGS

if TYPE_CHECKING:
    from runtime.oci.spec import Spec

# In this order: what a user namespace's owner may no longer join comes before it, the mount namespace, whose /proc
# may be another, last.
_ORDER = ("network", "ipc", "uts", "pid", "time", "cgroup", "user", "mount")


class Birth(NamedTuple):
    """`new` are CLONE_NEW* bits, `joined` open namespace files by type, `offsets` the text of timens_offsets."""

    new: int
    joined: dict[str, int]
    offsets: str = ""

    @property
    def indirect(self) -> bool:
        """Whether an intermediate is needed."""
        types = self.joined.keys()
        return bool(
            self.new & k.CLONE_NEWTIME
            or types & {"pid", "time", "user"}
            or (types and self.new & k.CLONE_NEWUSER)
        )

    def close(self) -> None:
        """Close the namespace files."""
        for fd in self.joined.values():
            os.close(fd)


def plan_birth(spec: Spec) -> Birth:
    """Opens what is to be joined. Raises InvalidError for a path that is no namespace of that type."""
    joined: dict[str, int] = {}
    new = 0
    for namespace in spec["linux"]["namespaces"]:
        kind, path = namespace["type"], namespace.get("path", "")
        if not path:
            new |= FLAGS[kind]
            continue
        try:
            joined[kind] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            for fd in joined.values():
                os.close(fd)
            raise InvalidError(f"cannot join the {kind} namespace {path}: {error.strerror}") from None
    offsets = "".join(
        f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n"
        for clock, offset in spec["linux"].get("timeOffsets", {}).items()
    )
    return Birth(new, joined, offsets)


def give_birth(birth: Birth, cgroup_fd: int) -> tuple[int, int]:
    """Like clone3: (pid, pidfd) in the caller, whose child it is, and (0, -1) in the child.

    Raises StartError if a namespace cannot be joined, OSError.
    """
    new = birth.new & ~k.CLONE_NEWCGROUP
    if new & k.CLONE_NEWUSER or "user" in birth.joined:
        new &= ~k.CLONE_NEWIPC  # its message queues belong to who makes it: the new root, in a moment
    if not birth.indirect:
        return syscalls.clone3(new, cgroup_fd=cgroup_fd)
    report, far = make_channel()
    middle, middle_fd = syscalls.clone3(0)
    if middle == 0:
        try:
            settle()
            _prepare(birth)
            flags = new & ~k.CLONE_NEWTIME | k.CLONE_PARENT
            pid, pidfd = syscalls.clone3(flags, cgroup_fd=cgroup_fd)
        except BaseException as error:
            sync.send_failure(far.fileno(), "make or join namespaces", error)
            os._exit(1)
        if pid == 0:
            report.close()
            far.close()
            return 0, -1
        sync.send_process(far.fileno(), pid, pidfd)
        os._exit(0)
    try:
        far.close()
        return sync.receive_process(report)
    finally:
        os.close(middle_fd)
        os.waitpid(middle, 0)
        report.close()


def join_rest(birth: Birth) -> None:
    """In the child: join what a process can enter by itself. Called when it is in its cgroup."""
    if not birth.indirect:
        for kind in _ORDER:
            if kind in birth.joined:
                syscalls.setns(birth.joined[kind], FLAGS[kind])
    elif "mount" in birth.joined:
        syscalls.setns(birth.joined["mount"], k.CLONE_NEWNS)
    if birth.new & k.CLONE_NEWCGROUP:
        # After joining the cgroup: the namespace's root is the cgroup the process is in at this moment.
        syscalls.unshare(k.CLONE_NEWCGROUP)


def _prepare(birth: Birth) -> None:
    if birth.new & k.CLONE_NEWTIME:
        syscalls.unshare(k.CLONE_NEWTIME)
        if birth.offsets:
            with open("/proc/self/timens_offsets", "w", encoding="ascii") as file:
                file.write(birth.offsets)
    postponed: list[str] = []
    for kind in _ORDER:
        if kind == "mount" or kind not in birth.joined:
            continue
        try:
            syscalls.setns(birth.joined[kind], FLAGS[kind])
        except OSError as error:
            # A namespace that belongs to the user namespace to be joined: only from inside it.
            if error.errno != errno.EPERM or "user" not in birth.joined or kind == "user":
                raise
            postponed.append(kind)
    for kind in postponed:
        syscalls.setns(birth.joined[kind], FLAGS[kind])
