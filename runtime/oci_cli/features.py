"""`features`: what this runtime and this kernel support (features.md, features-linux.md)."""

from __future__ import annotations

import json
import os
from typing import Any

from runtime.linux.features import has_namespace
from runtime.linux.mounts import option_words
from runtime.linux.seccomp import OPERATORS, action_names, flag_names
from runtime.oci.capabilities import NAMES
from runtime.oci.validate import HOOKS, NAMESPACES
from runtime.oci.version import OCI_VERSION
from runtime.oci_cli.main import Call

HELP = "features\n\nPrints what this runtime supports, as JSON."
OPTIONS: dict[str, object] = {}
_FILES = {"mount": "mnt", "network": "net"}


def run(call: Call) -> int:
    """Print it."""
    print(json.dumps(plan_features(), indent=2))
    return 0


def plan_features() -> dict[str, Any]:
    """The features structure."""
    machine = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[os.uname().machine]
    seccomp = os.path.exists("/proc/sys/kernel/seccomp/actions_avail")
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": list(option_words()),
        "linux": {
            "namespaces": [kind for kind in NAMESPACES if has_namespace(_FILES.get(kind, kind))],
            "capabilities": list(NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": seccomp,
                "actions": list(action_names()),
                "operators": [f"SCMP_CMP_{name}" for name in OPERATORS],
                "archs": [machine],
                "knownFlags": list(flag_names()),
                "supportedFlags": list(flag_names()) if seccomp else [],
            },
            "apparmor": {"enabled": _is_on("/sys/module/apparmor/parameters/enabled", "Y")},
            "selinux": {"enabled": os.path.exists("/sys/fs/selinux/enforce")},
            "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": False},
            "memoryPolicy": {"modes": [], "flags": []},
        },
        "annotations": {"org.opencontainers.runc.checkpoint.enabled": "false"},
        "potentiallyUnsafeConfigAnnotations": [],
    }


def _is_on(path: str, word: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == word
    except OSError:
        return False
