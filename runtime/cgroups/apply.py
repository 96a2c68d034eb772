"""Writes a controller's files, in their order, and says what the kernel refused or lacks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from runtime.cgroups.files import write_text
from runtime.errors import InvalidError

if TYPE_CHECKING:
    from runtime.oci.spec import LinuxResources


def names(files: list[tuple[str, str]]) -> str:
    return ", ".join(dict.fromkeys(file for file, _ in files))


def write_files(directory: str, files: list[tuple[str, str]]) -> list[str]:
    """Write values; one that is refused is tried again after the others, as limits depend on one another."""
    warnings: list[str] = []
    refused: list[tuple[str, str]] = []
    for file, text in files:
        try:
            write_text(directory, file, text)
        except FileNotFoundError:
            if file not in _ALTERNATIVES:
                warnings.append(f"this kernel has no {file}: {text} is not applied")
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                warnings.append(f"this kernel does not do {file}: {text} is not applied")
                continue
            if error.errno not in (errno.EINVAL, errno.EBUSY):
                raise _refusal(error, file, text) from error
            refused.append((file, text))
    for file, text in refused:
        try:
            write_text(directory, file, text)
        except OSError as error:
            raise _refusal(error, file, text) from error
    return warnings


def _refusal(error: OSError, file: str, text: str) -> InvalidError:
    return InvalidError(f"the kernel refuses {file} = {text}: {error.strerror}", hint=_REFUSALS.get(file, ""))


# Written where they are there; the other file says the same.
_ALTERNATIVES = frozenset(("io.bfq.weight", "blkio.bfq.weight"))

_REFUSALS = {
    "cpuset.cpus": "only processors of this machine that the parent cgroup may use",
    "cpuset.mems": "only memory nodes of this machine that the parent cgroup may use",
    "memory.memsw.limit_in_bytes": "memory plus swap must not be below the memory limit",
    "cpu.rt_runtime_us": "the cgroups above, and those beside it, must leave that much real time",
    "memory.limit_in_bytes": "the container already uses more than that",
}


def restrict_devices(directory: str, resources: LinuxResources) -> list[str]:
    rules = resources.get("devices")
    if not rules:
        return []
    from runtime.cgroups.v2 import devices

    try:
        devices.attach(directory, rules)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        return ["this kernel has no BPF_PROG_TYPE_CGROUP_DEVICE: devices are not restricted"]
    return []
