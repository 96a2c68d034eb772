"""One cgroup of ours across all hierarchies of the machine: v1, hybrid and v2 behind one interface.

In a hybrid machine the v1 controllers carry the limits, and a process joins the v2 tree and name=systemd under the
same path too, so that one path names it everywhere. Only a leaf holds processes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from runtime.cgroups.apply import names, restrict_devices, write_files
from runtime.cgroups.detect import V1, V2, Hierarchy, Layout, detect_layout
from runtime.cgroups.files import children, read_keyed, read_text, remove_tree, write_text
from runtime.cgroups.v1 import files as v1
from runtime.cgroups.v2 import files as v2
from runtime.errors import StateError, UnsupportedError

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources

# Enabled on the way down a v2 tree, where the kernel has them.
_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb", "rdma")
_KILL_TIMEOUT_S = 10.0
_PATIENCE_S = 1.0  # for those that fork faster than they are killed one by one


class Stats(NamedTuple):
    """What a cgroup uses. `memory_bytes` is without inactive page cache, as Docker shows it; limits 0 = none."""

    memory_bytes: int = 0
    memory_limit_bytes: int = 0
    cpu_ns: int = 0
    pids: int = 0
    pids_limit: int = 0


class Cgroup:
    """A cgroup by its path in every hierarchy. Making one touches nothing; `create` does."""

    __slots__ = ("_directories", "layout", "path")

    def __init__(self, path: str, layout: Layout) -> None:
        self.path = path.strip("/")
        self.layout = layout
        self._directories = [f"{h.mount_point}/{self.path}" for h in layout.hierarchies]

    # ---- making it

    def create(self, resources: LinuxResources) -> list[str]:
        """Make the cgroup, with its parents, and set its limits; also changes those of one that is there.

        Returns warnings, one for each file the kernel lacks. Raises InvalidError for a value the kernel refuses,
        OSError for anything else.
        """
        if not self.layout.hierarchies:
            raise UnsupportedError(
                "no cgroup file system is mounted", hint="mount -t cgroup2 none /sys/fs/cgroup"
            )
        for hierarchy in self.layout.hierarchies:
            self._make(hierarchy)
        return self.update(resources)

    def update(self, resources: LinuxResources) -> list[str]:
        """Set limits of the cgroup, which is there; what `resources` does not name stays. As `create` otherwise."""
        warnings: list[str] = []
        for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
            if hierarchy.version == 1:
                for controller in hierarchy.controllers:
                    if controller in v1.PLANS:
                        warnings += write_files(directory, v1.PLANS[controller](resources))
            elif self.layout.mode == V2:
                warnings += write_files(directory, v2.plan_files(resources))
                warnings += restrict_devices(directory, resources)
        if self.layout.mode != V2:
            warnings += self._missing_controllers(resources)
        return warnings

    def _missing_controllers(self, resources: LinuxResources) -> list[str]:
        return [
            f"this kernel has no {controller} controller: {names(plan(resources))} not set"
            for controller, plan in v1.PLANS.items()
            if self.layout.controller(controller) is None and plan(resources)
        ]

    def _make(self, hierarchy: Hierarchy) -> None:
        if hierarchy.version == 1 and "cpuset" not in hierarchy.controllers:
            # Most often the parents are there, and nothing is to be set on the way down.
            try:
                os.mkdir(f"{hierarchy.mount_point}/{self.path}", 0o755)
                return
            except FileExistsError:
                return
            except FileNotFoundError:
                pass
        # Another command may remove the empty parent between our two mkdirs: then begin again.
        for attempt in range(20):
            try:
                directory = hierarchy.mount_point
                for part in self.path.split("/"):
                    if hierarchy.version == 2 and self.layout.mode == V2:
                        _enable_controllers(directory)
                    parent, directory = directory, f"{directory}/{part}"
                    try:
                        os.mkdir(directory, 0o755)
                    except FileExistsError:
                        pass
                    if "cpuset" in hierarchy.controllers:
                        _inherit_cpuset(parent, directory)
                return
            except FileNotFoundError:
                if attempt == 19:
                    raise
                time.sleep(0.002)

    def exists(self) -> bool:
        """Whether it is there in any hierarchy."""
        return any(os.path.isdir(directory) for directory in self._directories)

    def inside(self, path: str) -> Cgroup | None:
        """One below this, which in hierarchies that do not have it is this one; None if none has it."""
        below = Cgroup(f"{self.path}/{path.strip('/')}", self.layout)
        if not below.exists():
            return None
        pairs = zip(below._directories, self._directories, strict=True)
        below._directories = [inner if os.path.isdir(inner) else outer for inner, outer in pairs]
        return below

    # ---- processes

    def add(self, pid: int) -> None:
        """Move a process here in every hierarchy. Raises OSError.

        A process of a single thread that moves itself is better off with `join`.
        """
        for directory in self._directories:
            write_text(directory, "cgroup.procs", str(pid))

    def join(self, *, born: bool = False) -> None:
        """Move the calling process, of a single thread, here; `born` here (`open_for_birth`), it is in v2 already.

        A thread that moves itself by v1's `tasks` takes no lock; any other move waits, after a quiet time, for all
        processors (10 to 20 ms).
        """
        for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
            if hierarchy.version == 1:
                write_text(directory, "tasks", "0")
            elif not born:
                write_text(directory, "cgroup.procs", "0")

    def open_for_joining(self, *, born: bool = False) -> list[int]:
        """What `join` writes to, opened, for a process that will not see these paths (`join_opened`)."""
        opened: list[int] = []
        try:
            for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
                if hierarchy.version == 1 or not born:
                    file = "tasks" if hierarchy.version == 1 else "cgroup.procs"
                    opened.append(os.open(f"{directory}/{file}", os.O_WRONLY | os.O_CLOEXEC))
        except BaseException:
            for fd in opened:
                os.close(fd)
            raise
        return opened

    def open_for_birth(self) -> int:
        """The v2 directory for clone3(2)'s CLONE_INTO_CGROUP, also of a hybrid machine; -1 without a v2 tree."""
        for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
            if hierarchy.version == 2:
                return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return -1

    def procs(self) -> list[int]:
        """The processes in it and below, in no order; empty if it is gone."""
        found: set[int] = set()
        for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
            # Every process joins every hierarchy, so that where there is a v2 tree only that is searched in depth.
            deep = hierarchy.version == 2 or self.layout.mode == V1
            for where in _walk(directory) if deep else (directory,):
                text = read_text(where, "cgroup.procs") or ""
                found.update(int(line) for line in text.split() if line != "0")
        return sorted(found)

    def kill(self, *, to_be_used: bool = False) -> None:
        """SIGKILL everything in it until nothing is left. Raises StateError if something stays for 10 s.

        `to_be_used`: something will be born in it again. Linux 6.18 kills a process that is born by CLONE_INTO_CGROUP
        in a cgroup which was once told cgroup.kill, so that comes only if all else is in vain.
        """
        unified = self.layout.unified()
        deadline = time.monotonic() + _KILL_TIMEOUT_S
        pause_s = 0.0005
        while pids := self.procs():
            if time.monotonic() > deadline:
                raise StateError(
                    f"processes {', '.join(map(str, pids))} in cgroup {self.path} do not die",
                    hint="they wait in the kernel, most often for a disk or network file system",
                )
            patient = to_be_used and time.monotonic() < deadline - _KILL_TIMEOUT_S + _PATIENCE_S
            if unified is not None and not patient:
                try:
                    write_text(f"{unified.mount_point}/{self.path}", "cgroup.kill", "1")
                except OSError:
                    pass  # Linux before 5.14, or gone this moment
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._thaw()
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.02)

    def _thaw(self) -> None:
        # A frozen process of v1 takes its SIGKILL only when it is thawed.
        freezer = self.layout.controller("freezer")
        if freezer is not None:
            try:
                write_text(f"{freezer.mount_point}/{self.path}", "freezer.state", "THAWED")
            except OSError:
                pass

    def freeze(self, frozen: bool) -> None:
        """Stop or continue all processes at once (`pause`); returns when it is done. Raises UnsupportedError."""
        freezer = self.layout.controller("freezer")
        unified = self.layout.unified()
        if freezer is not None:
            directory, file = f"{freezer.mount_point}/{self.path}", "freezer.state"
            wanted = "FROZEN" if frozen else "THAWED"
            write_text(directory, file, wanted)
            _wait(lambda: read_text(directory, file) == wanted, f"cgroup {self.path} to be {wanted.lower()}")
        elif unified is not None:
            directory = f"{unified.mount_point}/{self.path}"
            write_text(directory, "cgroup.freeze", str(int(frozen)))
            _wait(
                lambda: read_keyed(directory, "cgroup.events").get("frozen", int(frozen)) == int(frozen),
                f"cgroup {self.path} to be {'frozen' if frozen else 'thawed'}",
            )
        else:
            raise UnsupportedError("this kernel has no cgroup freezer", hint="pause needs it")

    def is_frozen(self) -> bool:
        """Whether it has been frozen here (`pause`), not by one above it."""
        freezer, unified = self.layout.controller("freezer"), self.layout.unified()
        if freezer is not None:
            return read_text(f"{freezer.mount_point}/{self.path}", "freezer.state") in ("FROZEN", "FREEZING")
        if unified is not None:
            return read_text(f"{unified.mount_point}/{self.path}", "cgroup.freeze") == "1"
        return False

    # ---- looking

    def oom_kills(self) -> int:
        """How many processes the kernel has killed here for want of memory since it was made; 0 if gone."""
        directory = self._directory_of("memory")
        if directory is None:
            return 0
        file = "memory.events" if self.layout.mode == V2 else "memory.oom_control"
        return read_keyed(directory, file).get("oom_kill", 0)

    def stats(self) -> Stats:
        """What it uses now; zeros for what the kernel does not count."""
        return _stats_v2(self._directories[0]) if self.layout.mode == V2 else self._stats_v1()

    def _stats_v1(self) -> Stats:
        memory, cpu, pids = (self._directory_of(name) or "" for name in ("memory", "cpuacct", "pids"))
        limit = _number(memory, "memory.limit_in_bytes")
        inactive = read_keyed(memory, "memory.stat").get("total_inactive_file", 0)
        return Stats(
            max(0, _number(memory, "memory.usage_in_bytes") - inactive),
            0 if limit >= 1 << 62 else limit,
            _number(cpu, "cpuacct.usage"),
            _number(pids, "pids.current"),
            _number(pids, "pids.max"),
        )

    def mounts(self) -> tuple[tuple[str, str, str], ...]:
        """What a container mounts at /sys/fs/cgroup: (directory below it, file system type, data)."""
        if self.layout.mode == V2:
            return (("", "cgroup2", ""),)
        return tuple(
            (h.mount_point.rpartition("/")[2], "cgroup2" if h.version == 2 else "cgroup", h.mount_data())
            for h in self.layout.hierarchies
        )

    def directories(self) -> tuple[str, ...]:
        """Its directory in every hierarchy, in the order of `mounts`."""
        return tuple(self._directories)

    def _directory_of(self, controller: str) -> str | None:
        unified = self.layout.unified() if self.layout.mode == V2 else None
        hierarchy = unified or self.layout.controller(controller)
        return f"{hierarchy.mount_point}/{self.path}" if hierarchy is not None else None

    # ---- removing it

    def delete(self, *, timeout_s: float = 2.0, keep: bool = False) -> bool:
        """Remove it from every hierarchy, and parents that are empty then unless `keep`. Missing is fine.

        True when it is gone everywhere, False if it still held processes after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        gone = True
        for hierarchy, directory in zip(self.layout.hierarchies, self._directories, strict=True):
            if not remove_tree(directory, max(0.0, deadline - time.monotonic())):
                gone = False
                continue
            parent = "" if keep else self.path.rpartition("/")[0]
            while parent:
                try:
                    os.rmdir(f"{hierarchy.mount_point}/{parent}")
                except OSError:
                    break  # others live there
                parent = parent.rpartition("/")[0]
        return gone


def open_cgroup(path: str, *, layout: Layout | None = None) -> Cgroup:
    """The cgroup `path` (such as "pycompose/ID", relative to every hierarchy's mount point).

    `layout` stands for the machine's in tests. Raises OSError if /proc/self/mountinfo cannot be read.
    """
    return Cgroup(path, _machine_layout() if layout is None else layout)


_layouts: list[Layout] = []


def _machine_layout() -> Layout:
    # The machine's hierarchies do not change while a command or a shim runs. (functools costs its import.)
    if not _layouts:
        _layouts.append(detect_layout())
    return _layouts[0]


def join_opened(descriptors: Sequence[int]) -> None:
    """Move the calling process by descriptors of `Cgroup.open_for_joining`. Raises OSError."""
    for fd in descriptors:
        os.write(fd, b"0")


def _walk(directory: str) -> list[str]:
    """The directory and all below; those that vanish meanwhile are left out."""
    result = [directory]
    for where in result:
        result += children(where)
    return result


def _enable_controllers(directory: str) -> None:
    available = (read_text(directory, "cgroup.controllers") or "").split()
    enabled = (read_text(directory, "cgroup.subtree_control") or "").split()
    for controller in _V2_CONTROLLERS:
        if controller in available and controller not in enabled:
            try:
                write_text(directory, "cgroup.subtree_control", f"+{controller}")
            except OSError:
                # Processes sit in an inner node that is not ours, or real-time threads forbid "cpu":
                # the limit's file is then missing below, which is what the user is told.
                pass


def _inherit_cpuset(parent: str, directory: str) -> None:
    """v1: a new cpuset has no processors and no memory, and nothing can join it before it has (cpusets.rst)."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not read_text(directory, file):
            value = read_text(parent, file)
            if value:
                write_text(directory, file, value)


def _stats_v2(directory: str) -> Stats:
    inactive = read_keyed(directory, "memory.stat").get("inactive_file", 0)
    return Stats(
        max(0, _number(directory, "memory.current") - inactive),
        _number(directory, "memory.max"),
        read_keyed(directory, "cpu.stat").get("usage_usec", 0) * 1000,
        _number(directory, "pids.current"),
        _number(directory, "pids.max"),
    )


def _number(directory: str, file: str) -> int:
    text = read_text(directory, file) if directory else None
    return int(text) if text and text.isdigit() else 0


def _wait(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while not done():
        if time.monotonic() > deadline:
            raise StateError(f"waited {_KILL_TIMEOUT_S:.0f} s in vain for {what}")
        time.sleep(0.002)
