"""Device rules as the eBPF program that cgroup v2 wants in place of files (BPF_PROG_TYPE_CGROUP_DEVICE).

`assemble` is pure. The program reads struct bpf_cgroup_dev_ctx {access << 16 | type, major, minor} and returns
1 for allowed. The last rule that matches decides, so rules are tested in reverse; nothing matching is denied.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from runtime.linux import constants as k
from runtime.linux import syscalls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.oci.spec import DeviceRule

_NAME = "pycompose_devs"

_TYPES = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

_LOAD_WORD, _MOVE32, _AND32, _SHIFT32, _SET, _EXIT = 0x61, 0xBC, 0x54, 0x74, 0xB7, 0x95
_JUMP_NOT_EQUAL, _JUMP_EQUAL = 0x55, 0x15
_RESULT, _CONTEXT, _TYPE, _WANTED, _MAJOR, _MINOR, _SCRATCH = 0, 1, 2, 3, 4, 5, 6


def _insn(code: int, dst: int = 0, src: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, dst | src << 4, offset, value)


def assemble(rules: Sequence[DeviceRule]) -> bytes:
    """The program for OCI device rules, 8 bytes per instruction."""
    parts = [
        _insn(_LOAD_WORD, _TYPE, _CONTEXT, 0),
        _insn(_MOVE32, _WANTED, _TYPE),
        _insn(_AND32, _TYPE, value=0xFFFF),
        _insn(_SHIFT32, _WANTED, value=16),
        _insn(_LOAD_WORD, _MAJOR, _CONTEXT, 4),
        _insn(_LOAD_WORD, _MINOR, _CONTEXT, 8),
    ]
    for rule in reversed(rules):
        parts.append(_rule(rule))
        if _is_universal(rule):
            break  # what follows would be unreachable, which the verifier refuses
    else:
        parts += [_insn(_SET, _RESULT, value=0), _insn(_EXIT)]
    return b"".join(parts)


def _is_universal(rule: DeviceRule) -> bool:
    numbered = rule.get("major", -1) >= 0 or rule.get("minor", -1) >= 0
    return rule.get("type", "a") == "a" and not numbered and set(rule.get("access", "rwm")) == set("rwm")


def _rule(rule: DeviceRule) -> bytes:
    access = sum(_ACCESS[letter] for letter in set(rule.get("access", "rwm")))
    body: list[tuple[int, int, int, int]] = []  # code, dst, src, value; jumps go past the rule's end
    if rule.get("type", "a") != "a":
        body.append((_JUMP_NOT_EQUAL, _TYPE, 0, _TYPES[rule["type"]]))
    if access != 7:
        # Allowed is what lies wholly inside the rule; denied what touches it.
        body.append((_MOVE32, _SCRATCH, _WANTED, 0))
        body.append((_AND32, _SCRATCH, 0, 7 & ~access if rule["allow"] else access))
        body.append((_JUMP_NOT_EQUAL if rule["allow"] else _JUMP_EQUAL, _SCRATCH, 0, 0))
    for key, register in (("major", _MAJOR), ("minor", _MINOR)):
        number: int = rule.get(key, -1)  # type: ignore[assignment]
        if number >= 0:
            body.append((_JUMP_NOT_EQUAL, register, 0, number))
    size = len(body) + 2
    code = [
        _insn(code, dst, src, size - place - 1 if code in (_JUMP_EQUAL, _JUMP_NOT_EQUAL) else 0, value)
        for place, (code, dst, src, value) in enumerate(body)
    ]
    code += [_insn(_SET, _RESULT, value=int(rule["allow"])), _insn(_EXIT)]
    return b"".join(code)


def attach(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Load the rules and attach them to a cgroup v2 directory in place of those attached by an earlier call.

    For a moment both hold, never neither. Raises OSError (bpf(2)); needs CAP_BPF or root.
    """
    program = syscalls.bpf_prog_load(k.BPF_PROG_TYPE_CGROUP_DEVICE, assemble(rules), _NAME)
    try:
        target = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            before = syscalls.bpf_prog_query(target, k.BPF_CGROUP_DEVICE)
            syscalls.bpf_prog_attach(target, program, k.BPF_CGROUP_DEVICE, k.BPF_F_ALLOW_MULTI)
            for identity in before:
                _detach_ours(target, identity)
        finally:
            os.close(target)
    finally:
        os.close(program)


def _detach_ours(target: int, identity: int) -> None:
    """Others' stay: systemd restricts the devices of its scopes by programs of its own."""
    program = syscalls.bpf_prog_get_fd_by_id(identity)
    try:
        if syscalls.bpf_prog_name(program) == _NAME:
            syscalls.bpf_prog_detach(target, program, k.BPF_CGROUP_DEVICE)
    finally:
        os.close(program)
