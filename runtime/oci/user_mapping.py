"""`userns_mode`: which ids of the host stand behind those of a container. Pure.

"" and "host" are the host's own ids. "auto" and "auto:size=N" are a range that no other container has; what is on disk
keeps the container's own ids, because everything is mounted with its owners mapped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import ConflictError, InvalidError

if TYPE_CHECKING:
    from runtime.oci.container_spec import ContainerSpec
    from runtime.oci.spec_extra import IdMapping

_DEFAULT_SIZE = 65536
_SMALLEST, _LARGEST = 1, 1 << 24
# No distribution gives these to anybody (systemd's UIDS-GIDS.md: 0x70000000 to 0x7fffffff are unused).
UNUSED = range(0x70000000, 0x80000000)


class IdRange(NamedTuple):
    """`size` ids of the host from `first` on are those from 0 on of a container."""

    first: int
    size: int

    @property
    def mappings(self) -> list[IdMapping]:
        """The same in the words of the OCI specification."""
        return [{"containerID": 0, "hostID": self.first, "size": self.size}]

    def outside(self, inside: int) -> int:
        """The host's id of a container's; -1, which chown(2) leaves alone, where there is none."""
        return self.first + inside if 0 <= inside < self.size else -1


def parse_userns_mode(text: str) -> int:
    """How many ids a container wants for itself, 0 = those of the host. Raises InvalidError."""
    mode, _, options = text.partition(":")
    if mode in ("", "host") and not options:
        return 0
    name, _, value = options.partition("=")
    if mode != "auto" or (options and (name != "size" or not value.isdigit())):
        raise InvalidError(
            f"userns_mode {text!r} is not known", hint="known: host, auto, auto:size=NUMBER (of ids)"
        )
    size = int(value or _DEFAULT_SIZE)
    if not _SMALLEST <= size <= _LARGEST:
        raise InvalidError(
            f"userns_mode {text!r}: the size is out of range", hint=f"{_SMALLEST} to {_LARGEST}"
        )
    return size


def check_user_namespace(container: ContainerSpec) -> None:
    """Refuse what cannot be together with ids of its own. Raises InvalidError."""
    if not parse_userns_mode(container.userns):
        return
    for what, value in (
        ("privileged", container.privileged),
        ("runtime", container.runtime),
        *((name, _is_shared(mode)) for name, mode in (
            ("network_mode", container.network_mode), ("pid", container.pid), ("ipc", container.ipc),
            ("uts", container.uts), ("cgroup", container.cgroup),
        )),
    ):  # fmt: skip
        if value:
            raise InvalidError(
                f"container {container.name}: userns_mode {container.userns} and {what} contradict each other",
                hint="what belongs to the host or to another container has other ids",
            )


def _is_shared(mode: str) -> bool:
    return mode == "host" or mode.startswith("container:")


def choose_range(size: int, allowed: Iterable[range], used: Iterable[IdRange]) -> IdRange:
    """The first free range of `size` ids in `allowed`. Raises ConflictError if there is none."""
    taken = sorted(used)
    for ids in allowed:
        first = ids.start
        for other in taken:
            if other.first + other.size <= first:
                continue
            if other.first >= first + size:
                break
            first = other.first + other.size
        if first + size <= ids.stop:
            return IdRange(first, size)
    raise ConflictError(
        f"there are no {size} ids left for a user namespace",
        hint="ask for fewer (auto:size=N), or give `containers` more in /etc/subuid and /etc/subgid",
    )
