"""Names of capabilities (capabilities(7)) and which of them a container gets. Pure."""

from collections.abc import Collection, Iterable

from runtime.errors import InvalidError

# In the order of their bits (linux/capability.h).
_ALL_WORDS = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES: tuple[str, ...] = tuple(f"CAP_{word}" for word in _ALL_WORDS.split())

# Docker's fourteen.
_DEFAULT_WORDS = """
CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
MKNOD AUDIT_WRITE SETFCAP
"""
DEFAULT: tuple[str, ...] = tuple(f"CAP_{word}" for word in _DEFAULT_WORDS.split())


def parse_capability(text: str) -> str:
    """ "net_admin" or "CAP_NET_ADMIN" as CAP_NET_ADMIN, "all" as ALL. Raises InvalidError."""
    name = text.strip().upper()
    if name in ("ALL", "CAP_ALL"):
        return "ALL"
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in NAMES:
        raise InvalidError(f"unknown capability {text!r}", hint="see capabilities(7); for example NET_ADMIN")
    return name


def choose_capabilities(
    add: Iterable[str], drop: Iterable[str], *, privileged: bool, available: Collection[str]
) -> list[str]:
    """Docker's rules: ALL in either list first, then single names; in the order of their bits.

    `available` are those that can be handed on at all. Raises InvalidError for one added by name that is not.
    """
    added = {parse_capability(name) for name in add}
    dropped = {parse_capability(name) for name in drop}
    if privileged:
        return [name for name in NAMES if name in available]
    base = set() if "ALL" in dropped else set(DEFAULT) - dropped
    chosen = set(available) - dropped if "ALL" in added else base
    wanted = added - {"ALL"}
    for name in sorted(wanted - set(available)):
        raise InvalidError(
            f"capability {name} cannot be given: this process does not have it itself",
            hint="run as root with all capabilities, or leave it out of cap_add",
        )
    return [name for name in NAMES if name in (chosen | wanted) and name in available]
