"""security_opt and sysctls of a container: what the words mean and which are allowed. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from runtime.errors import InvalidError

# sysctls that belong to the IPC namespace; all of net.* belongs to the network namespace (namespaces(7)).
_IPC_WORDS = "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced"
_IPC_SYSCTLS = frozenset(f"kernel.{name}" for name in _IPC_WORDS.split())
# The parts of an SELinux label with those of a container's process.
_LABEL_PARTS = {"user": "system_u", "role": "system_r", "type": "container_t", "level": "s0"}


class SecurityOptions(NamedTuple):
    """What security_opt says: is the default filter loaded, are the usual paths of /proc and /sys left open.

    `profile` is the JSON of a filter to be loaded instead, `apparmor` and `selinux` are labels for the program.
    """

    seccomp: bool = True
    no_new_privileges: bool = False
    unmasked: bool = False
    profile: str = ""
    apparmor: str = ""
    selinux: str = ""


def parse_security_options(words: Iterable[str], *, privileged: bool) -> SecurityOptions:
    """Docker's words, "key=value" or "key:value". Raises InvalidError for one that cannot be honoured."""
    seccomp, no_new_privileges, unmasked = not privileged, False, privileged
    profile = apparmor = ""
    labels: dict[str, str] = {}
    for word in words:
        place = min((word.index(mark) for mark in "=:" if mark in word), default=len(word))
        key, value = word[:place], word[place + 1 :]
        if key == "no-new-privileges" and value in ("", "true", "false"):
            no_new_privileges = value != "false"
        elif key == "seccomp" and value in ("unconfined", "builtin"):
            seccomp, profile = value == "builtin", ""
        elif key == "seccomp" and value.startswith("{"):
            seccomp, profile = True, value
        elif key == "systempaths" and value == "unconfined":
            unmasked = True
        elif key == "apparmor" and value:
            apparmor = "" if value == "unconfined" else value
        elif key == "label" and value == "disable":
            labels.clear()
        elif key == "label" and value.partition(":")[0] in _LABEL_PARTS and value.partition(":")[2]:
            labels[value.partition(":")[0]] = value.partition(":")[2]
        else:
            raise InvalidError(f"security_opt {word!r} is not supported", hint=_known())
    selinux = ":".join(labels.get(part, default) for part, default in _LABEL_PARTS.items()) if labels else ""
    return SecurityOptions(seccomp, no_new_privileges, unmasked, profile, apparmor, selinux)


def _known() -> str:
    return (
        "known: no-new-privileges[:true|false], seccomp=unconfined|builtin|FILE, systempaths=unconfined, "
        "apparmor=PROFILE|unconfined, label=disable|user:…|role:…|type:…|level:…"
    )


def check_sysctls(
    sysctls: Mapping[str, str], *, own_network: bool, own_ipc: bool = True, container: str
) -> None:
    """Refuse what would change the host: only sysctls of the container's own namespaces. Raises InvalidError."""
    for name in sysctls:
        spelled = name.replace("/", ".") if "." not in name.partition("/")[0] else name
        if ".." in spelled or spelled.startswith("."):
            raise InvalidError(f"impossible sysctl {name!r} for container {container}")
        if spelled.startswith("net."):
            if not own_network:
                raise InvalidError(
                    f"sysctl {name} of container {container} would change the host's network",
                    hint="drop it, or do not use network_mode: host",
                )
        elif not own_ipc:
            raise InvalidError(
                f"sysctl {name} of container {container} would change the host's IPC",
                hint="drop it, or do not use ipc: host",
            )
        elif spelled not in _IPC_SYSCTLS and not spelled.startswith("fs.mqueue."):
            raise InvalidError(
                f"sysctl {name} of container {container} would change the whole machine",
                hint=f"a container has its own net.*, fs.mqueue.* and {', '.join(sorted(_IPC_SYSCTLS))}",
            )
