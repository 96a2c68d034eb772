"""Which cgroup hierarchies this machine has mounted, and where (cgroups(7)).

v1: one hierarchy per controller; v2: one for all; hybrid: v1 controllers beside a v2 tree without any.
"""

from typing import NamedTuple

from runtime.linux.procfs import MountPoint, load_mountinfo

V1 = "v1"
V2 = "v2"
HYBRID = "hybrid"

_WORDS = "blkio cpu cpuacct cpuset devices freezer hugetlb memory misc net_cls net_prio perf_event pids rdma"
_CONTROLLERS = frozenset(_WORDS.split())


class Hierarchy(NamedTuple):
    """One mounted hierarchy. `controllers` is empty for v2 and for a named v1 hierarchy (name=systemd)."""

    version: int  # 1 or 2
    mount_point: str
    controllers: tuple[str, ...] = ()
    name: str = ""

    def mount_data(self) -> str:
        """The data mount(2) wants for this hierarchy."""
        return f"name={self.name}" if self.name else ",".join(self.controllers)


class Layout(NamedTuple):
    """All hierarchies of a machine. `mode` is "v1", "hybrid" or "v2"."""

    mode: str
    hierarchies: tuple[Hierarchy, ...]

    def controller(self, name: str) -> Hierarchy | None:
        """The v1 hierarchy of a controller."""
        return next((h for h in self.hierarchies if name in h.controllers), None)

    def unified(self) -> Hierarchy | None:
        """The v2 hierarchy, also that of a hybrid machine."""
        return next((h for h in self.hierarchies if h.version == 2), None)


def detect_layout() -> Layout:
    """The hierarchies this process sees. Raises OSError; the layout is empty if nothing is mounted."""
    return plan_layout(load_mountinfo())


def plan_layout(mount_points: list[MountPoint]) -> Layout:
    """The hierarchies in a mount table, the first mount of each."""
    found: dict[tuple[int, str], Hierarchy] = {}
    for mount in mount_points:
        if mount.fstype == "cgroup2":
            found.setdefault((2, ""), Hierarchy(2, mount.target))
        elif mount.fstype == "cgroup":
            words = mount.super_options.split(",")
            name = next((word[5:] for word in words if word.startswith("name=")), "")
            controllers = tuple(word for word in words if word in _CONTROLLERS)
            if name or controllers:
                hierarchy = Hierarchy(1, mount.target, controllers, name)
                found.setdefault((1, hierarchy.mount_data()), hierarchy)
    versions = {hierarchy.version for hierarchy in found.values()}
    mode = HYBRID if versions == {1, 2} else V2 if versions == {2} else V1
    return Layout(mode, tuple(found.values()))
