"""What the child of an OCI container carries along beside a Child."""

from __future__ import annotations

from collections.abc import Callable

from runtime.container.child import Child


class OciChild(Child):
    """What an OCI container's child has beside a Child: trees opened beforehand and label files."""

    __slots__ = ("apparmor_fd", "groups_fixed", "hooks", "proc_fd", "root_path", "selinux_fd", "trees")

    def __init__(self, last_capability: int) -> None:
        super().__init__(last_capability)
        self.trees: tuple[int, ...] = ()
        self.root_path = ""
        self.proc_fd = -1  # the host's /proc, where the process is not among the host's mounts
        self.groups_fixed = False  # setgroups(2) is denied in this user namespace
        self.apparmor_fd = -1
        self.selinux_fd = -1
        self.hooks: Callable[[], None] | None = None
