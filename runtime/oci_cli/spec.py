"""`spec`: a config.json to begin with, with the defaults a secure container has."""

from __future__ import annotations

import json
import os
from typing import Any

from runtime.errors import ConflictError
from runtime.oci import generate
from runtime.oci.version import OCI_VERSION
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, VALUE, Option

HELP = "spec [options]\n\nWrites a config.json to begin with."
OPTIONS = {
    "bundle": Option(VALUE, "folder to write it to (default: the current one)", "b"),
    "file": Option(VALUE, "another name than config.json", "f"),
    "rootless": Option(FLAG, "for a container of the calling user", ""),
}
_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]


def run(call: Call) -> int:
    """Write it. Raises ConflictError if there is one already."""
    path = os.path.join(call.options.text("bundle") or ".", call.options.text("file") or "config.json")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.dumps(plan_spec(rootless=call.options.flag("rootless")), indent=2) + "\n")
    except FileExistsError:
        raise ConflictError(f"{path} exists already", hint="remove it first") from None
    return 0


def plan_spec(*, rootless: bool) -> dict[str, Any]:
    """The configuration: a shell in namespaces of its own."""
    namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [f"PATH={generate.DEFAULT_PATH}", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "container",
        "mounts": _mounts(rootless),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in namespaces],
            "maskedPaths": list(generate.MASKED_PATHS),
            "readonlyPaths": list(generate.READ_ONLY_PATHS),
        },
    }
    if rootless:
        del spec["linux"]["resources"]
        spec["linux"]["namespaces"] = [{"type": kind} for kind in (*namespaces, "user") if kind != "network"]
        spec["linux"]["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        spec["linux"]["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    return spec


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    closed = ["nosuid", "noexec", "nodev"]

    def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
        return {"destination": destination, "type": kind, "source": source, "options": list(options)}

    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    mounts = [
        mount("/proc", "proc", "proc"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", *terminals, *([] if rootless else ["gid=5"])),
        mount("/dev/shm", "tmpfs", "shm", *closed, "mode=1777", "size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", *closed),
    ]
    if rootless:
        mounts.append(mount("/sys", "none", "/sys", "rbind", *closed, "ro"))
    else:
        mounts.append(mount("/sys", "sysfs", "sysfs", *closed, "ro"))
        mounts.append(mount("/sys/fs/cgroup", "cgroup", "cgroup", *closed, "relatime", "ro"))
    return mounts
