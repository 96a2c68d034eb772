"""A seccomp profile as Docker writes them in files -> an OCI `Seccomp` object. Pure.

Source: Docker's seccomp documentation; the rules' `includes` and `excludes` are its addition to OCI's format
(config-linux.md: seccomp).
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, cast

from runtime.errors import InvalidError
from runtime.oci.spec import Seccomp, SeccompRule

# What `arches` in a condition calls this machine's architecture (Go's names).
_ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


def parse_seccomp(text: str, *, capabilities: Collection[str], machine: str, kernel: str) -> Seccomp:
    """The profile for a process with these capabilities, on a `machine` (x86_64) with a `kernel` (6.1.0-1).

    Raises InvalidError.
    """
    try:
        document = json.loads(text)
        rules = [
            rule
            for entry in document.get("syscalls") or ()
            if _applies(entry, capabilities, machine, kernel)
            for rule in _rules(entry)
        ]
        profile: dict[str, Any] = {"defaultAction": document["defaultAction"], "syscalls": rules}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidError(
            f"this is no seccomp profile: {error}", hint="it has the format of Docker's default.json"
        ) from None
    if document.get("defaultErrnoRet") is not None:
        profile["defaultErrnoRet"] = document["defaultErrnoRet"]
    if document.get("flags"):
        profile["flags"] = document["flags"]
    return cast(Seccomp, profile)


def _rules(entry: Mapping[str, Any]) -> list[SeccompRule]:
    names = entry.get("names") or [entry["name"]]
    rule: dict[str, Any] = {"names": names, "action": entry["action"]}
    if entry.get("errnoRet") is not None:
        rule["errnoRet"] = entry["errnoRet"]
    if entry.get("args"):
        rule["args"] = [
            {key: value for key, value in argument.items() if value is not None} for argument in entry["args"]
        ]
    return [cast(SeccompRule, rule)]


def _applies(entry: Mapping[str, Any], capabilities: Collection[str], machine: str, kernel: str) -> bool:
    """All of what a rule includes holds, and nothing of what it excludes."""
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    arch = _ARCHES.get(machine, machine)
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if arch in (excludes.get("arches") or ()):
        return False
    if not all(name in capabilities for name in includes.get("caps") or ()):
        return False
    if any(name in capabilities for name in excludes.get("caps") or ()):
        return False
    if includes.get("minKernel") and _version(kernel) < _version(includes["minKernel"]):
        return False
    return not (excludes.get("minKernel") and _version(kernel) >= _version(excludes["minKernel"]))


def _version(text: str) -> tuple[int, int]:
    major, minor = [*text.split("-", 1)[0].split("."), "0"][:2]
    return int(major), int(minor)
