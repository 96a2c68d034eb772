"""Capabilities as bits (capabilities(7)), and giving a process its five sets. Their names are in oci/capabilities."""

from collections.abc import Iterable

from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.oci.capabilities import NAMES

BITS: dict[str, int] = {name: bit for bit, name in enumerate(NAMES)}


def mask_of(names: Iterable[str]) -> int:
    """Names (CAP_CHOWN) as a bit mask. Raises KeyError for an unknown one."""
    result = 0
    for name in names:
        result |= 1 << BITS[name]
    return result


def names_of(mask: int) -> tuple[str, ...]:
    """The known names in a bit mask, in the order of their bits."""
    return tuple(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def last_capability() -> int:
    """The highest capability this kernel knows (proc(5), /proc/sys/kernel/cap_last_cap)."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:
        return int(file.read())


def permitted_names() -> tuple[str, ...]:
    """What this process may hand on: the names in its permitted set."""
    return names_of(syscalls.capget()[1])


def limit_bounding_set(mask: int, last: int) -> None:
    """Drop from the bounding set all that is not in `mask`. Needs CAP_SETPCAP; raises OSError."""
    for bit in range(last + 1):
        if not mask >> bit & 1:
            syscalls.prctl(k.PR_CAPBSET_DROP, bit)


def apply_sets(effective: int, permitted: int, inheritable: int, ambient: int) -> None:
    """Set the four per-process sets (capset(2), prctl(2) PR_CAP_AMBIENT). Raises OSError.

    A bit is ambient only if it is permitted and inheritable, as the kernel demands; the others are left out.
    """
    syscalls.capset(effective, permitted, inheritable)
    syscalls.prctl(k.PR_CAP_AMBIENT, k.PR_CAP_AMBIENT_CLEAR_ALL)
    for bit in range(len(NAMES)):
        if (ambient & permitted & inheritable) >> bit & 1:
            syscalls.prctl(k.PR_CAP_AMBIENT, k.PR_CAP_AMBIENT_RAISE, bit)
