"""driver_opts of the driver `local`: `type`, `o` and `device` are mount(8)'s, as Docker has them. Pure but for names.

What is mounted is decided here; `mounting` does it.
"""

import socket
from collections.abc import Mapping
from typing import NamedTuple

from runtime.errors import InvalidError
from runtime.linux import constants as k
from runtime.linux.mounts import EXTENSION_WORDS, MountOptions, parse_options

_KNOWN = ("type", "o", "device")
# One option asks for others (as in Docker's driver): a device without a type cannot be mounted.
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_BY_ADDRESS = ("nfs", "nfs4", "cifs", "smb3")


class VolumeMount(NamedTuple):
    """What is mounted where a volume's content is looked for. A bind has no `fstype`."""

    fstype: str
    device: str
    options: MountOptions

    @property
    def is_bind(self) -> bool:
        return bool(self.options.flags & k.MS_BIND)


def parse_driver_options(options: Mapping[str, str], volume: str) -> VolumeMount | None:
    """The mount that driver_opts ask for, None without any. Raises InvalidError."""
    for name in options:
        if name not in _KNOWN:
            raise InvalidError(
                f"volume {volume}: the driver `local` has no option {name!r}",
                hint=f"known: {', '.join(_KNOWN)}",
            )
        for other in _NEEDS[name]:
            if not options.get(other):
                raise InvalidError(
                    f"volume {volume}: the option {name!r} needs {other!r} beside it", hint=f"add {other}"
                )
        if "\0" in options[name] or len(options[name]) > 4096:
            raise InvalidError(f"volume {volume}: the option {name!r} is impossible")
    if not options:
        return None
    words = [word for word in options.get("o", "").split(",") if word]
    for word in words:
        if word in EXTENSION_WORDS or word == "remount":
            raise InvalidError(f"volume {volume}: the mount option {word!r} is not for volumes")
    parsed = parse_options(words)
    if options["type"] in ("none", "bind"):
        if not parsed.flags & k.MS_BIND:
            raise InvalidError(
                f"volume {volume}: the type {options['type']!r} is for binds", hint="add o: bind"
            )
        if not options["device"].startswith("/"):
            raise InvalidError(f"volume {volume}: the device {options['device']!r} is no absolute path")
    return VolumeMount(options["type"], options["device"], parsed)


def mount_data(mount: VolumeMount) -> str:
    """The data for mount(2). Network file systems get addresses for names, as mount.nfs(8) and mount.cifs(8) do.

    NFS wants addr= and the client's version; both come from `o`, or addr from the device. Raises OSError.
    """
    if mount.fstype not in _BY_ADDRESS:
        return mount.options.data
    words = [word for word in mount.options.data.split(",") if word]
    key = "addr" if mount.fstype.startswith("nfs") else "ip"
    given = next((word.partition("=")[2] for word in words if word.startswith(("addr=", "ip="))), "")
    host = given or _host_of(mount)
    rest = [word for word in words if not word.startswith(("addr=", "ip="))]
    return ",".join([*rest, f"{key}={_address(host)}"]) if host else ",".join(rest)


def _host_of(mount: VolumeMount) -> str:
    """The server in host:/path, [address]:/path or //host/share."""
    if mount.fstype.startswith("nfs"):
        return mount.device.partition(":/")[0].strip("[]")
    return mount.device.lstrip("/").partition("/")[0]


def _address(host: str) -> str:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
