"""Compiles an OCI seccomp object to a classic BPF program, and keeps compiled programs as files.

The program (seccomp(2), linux/seccomp.h) is a binary search over ranges of call numbers that share an action, so a
call is decided after seven or eight comparisons, whatever its number:

    architecture                   a search of its own for each: the machine's, and of `architectures` those of
                                   32-bit programs on x86-64 (x86, x32)
    any other architecture         ENOSYS
    number above all known ones    ENOSYS, so that libraries fall back instead of failing (a new kernel's
    calls)
    number with an action          that action; with argument rules: the first rule that matches
    any other                      the default action

`compile_profile` is pure; `load_program` reads and writes the cache.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import InvalidError, UnsupportedError
from runtime.linux import constants as k
from runtime.linux.syscall_numbers import numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.oci.spec import Seccomp, SeccompArg, SeccompRule

_VERSION = 3  # of the compiler: a cached program of another version is not used

_LOAD, _JUMP, _AND, _RETURN = 0x20, 0x05, 0x54, 0x06
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_AT_LEAST = 0x15, 0x25, 0x35
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGS_OFFSET = 0, 4, 16  # struct seccomp_data
_ARCHITECTURES = {"x86_64": k.AUDIT_ARCH_X86_64, "aarch64": k.AUDIT_ARCH_AARCH64}
_X86, _X32 = "SCMP_ARCH_X86", "SCMP_ARCH_X32"
_X32_FIRST = 0x4000_0000  # x32 is the machine's own architecture, its numbers begin here
_UNKNOWN = k.SECCOMP_RET_ERRNO | errno.ENOSYS

_ACTIONS = {
    "SCMP_ACT_ALLOW": k.SECCOMP_RET_ALLOW,
    "SCMP_ACT_ERRNO": k.SECCOMP_RET_ERRNO,
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": k.SECCOMP_RET_KILL_PROCESS,
    "SCMP_ACT_TRAP": k.SECCOMP_RET_TRAP,
    "SCMP_ACT_LOG": k.SECCOMP_RET_LOG,
    "SCMP_ACT_TRACE": k.SECCOMP_RET_TRACE,
    "SCMP_ACT_NOTIFY": k.SECCOMP_RET_USER_NOTIF,
}
_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": k.SECCOMP_FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": k.SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": k.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": k.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


class _Insn(NamedTuple):
    """struct sock_filter; jumps count instructions from the next one."""

    code: int
    value: int
    if_true: int = 0
    if_false: int = 0


class _Segment(NamedTuple):
    """Calls from `first` on up to the next segment: one action, or rules that look at arguments before it."""

    first: int
    action: int
    rules: tuple[SeccompRule, ...] = ()


# Programs by the identity of their profile, which is kept with them.
_loaded: dict[int, tuple[Seccomp, bytes]] = {}


def load_program(profile: Seccomp | None, cache_directory: str) -> bytes | None:
    """The compiled filter of a profile, from the cache if it is there; None without a profile.

    Raises InvalidError or UnsupportedError for a profile that cannot be compiled. A cache that cannot be written
    costs a millisecond at the next start and nothing else.
    """
    if profile is None:
        return None
    known = _loaded.get(id(profile))
    if known is None:
        known = _loaded[id(profile)] = (profile, _load(profile, cache_directory))
    return known[1]


def _load(profile: Seccomp, cache_directory: str) -> bytes:
    from hashlib import sha256  # a millisecond or two, which only a profile is worth

    machine = os.uname().machine
    key = json.dumps([_VERSION, machine, profile], sort_keys=True)
    path = f"{cache_directory}/seccomp-{sha256(key.encode()).hexdigest()[:32]}.bpf"
    try:
        with open(path, "rb") as file:
            program = file.read()
        if program and len(program) % 8 == 0:
            return program
    except OSError:
        pass
    program = compile_profile(profile, machine)
    _store(path, program)
    return program


def _store(path: str, program: bytes) -> None:
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(program)
        os.rename(temporary, path)
    except OSError:
        pass


def unknown_names(profile: Seccomp) -> tuple[str, ...]:
    """Names of calls that this machine does not have: `compile_profile` skips them."""
    known = numbers_of(os.uname().machine)
    return tuple(name for rule in profile.get("syscalls", ()) for name in rule["names"] if name not in known)


def compile_profile(profile: Seccomp, machine: str) -> bytes:
    """A profile as an array of struct sock_filter for one machine ("x86_64", "aarch64").

    Names the machine does not have are skipped, as the specification asks.
    """
    if machine not in _ARCHITECTURES:
        raise UnsupportedError(f"no seccomp filter for {machine}", hint="security_opt: [seccomp=unconfined]")
    sections = {_ARCHITECTURES[machine]: _plan_segments(profile, numbers_of(machine))}
    if machine == "x86_64":
        from runtime.linux.syscall_numbers_32 import i386_numbers, x32_numbers

        wanted = profile.get("architectures", ())
        if _X32 in wanted:
            sections[k.AUDIT_ARCH_X86_64] += _plan_segments(profile, x32_numbers(), _X32_FIRST)
        else:
            sections[k.AUDIT_ARCH_X86_64].append(_Segment(_X32_FIRST, _UNKNOWN))
        if _X86 in wanted:
            sections[k.AUDIT_ARCH_I386] = _plan_segments(profile, i386_numbers())
    program = [_Insn(_LOAD, _ARCH_OFFSET)]
    for architecture, segments in sections.items():
        body = [_Insn(_LOAD, _NUMBER_OFFSET), *_search(segments)]
        program += [_Insn(_JUMP_EQUAL, architecture, 1, 0), _Insn(_JUMP, len(body)), *body]
    program.append(_Insn(_RETURN, _UNKNOWN))
    return b"".join(struct.pack("=HBBI", i.code, i.if_true, i.if_false, i.value) for i in program)


def _action(name: str, number: int) -> int:
    if name not in _ACTIONS:
        raise UnsupportedError(
            f"seccomp action {name} is not supported", hint=f"known: {', '.join(_ACTIONS)}"
        )
    return _ACTIONS[name] | (number & 0xFFFF if name in _WITH_NUMBER else 0)


def action_names() -> tuple[str, ...]:
    """Every action `compile_profile` knows, for `features`."""
    return tuple(_ACTIONS)


def flag_names() -> tuple[str, ...]:
    """Every flag `filter_flags` knows, for `features`."""
    return tuple(_FLAGS)


def filter_flags(profile: Seccomp) -> int:
    """The profile's flags as seccomp(2) wants them, with a listener if an action notifies one.

    Raises UnsupportedError for a flag nobody knows.
    """
    flags = 0
    for name in profile.get("flags", ()):
        if name not in _FLAGS:
            raise UnsupportedError(
                f"seccomp flag {name} is not supported", hint=f"known: {', '.join(_FLAGS)}"
            )
        flags |= _FLAGS[name]
    notifies = any(rule["action"] == "SCMP_ACT_NOTIFY" for rule in profile.get("syscalls", ()))
    if notifies or profile.get("listenerPath"):
        flags |= k.SECCOMP_FILTER_FLAG_NEW_LISTENER
    return flags


def _plan_segments(profile: Seccomp, numbers: dict[str, int], first: int = 0) -> list[_Segment]:
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet", errno.EPERM))
    actions: dict[int, int] = {}
    conditional: dict[int, list[SeccompRule]] = {}
    for rule in profile.get("syscalls", ()):
        for name in rule["names"]:
            if name not in numbers:
                continue
            if rule.get("args"):
                conditional.setdefault(numbers[name], []).extend(_alternatives(rule))
            else:
                actions[numbers[name]] = _action(rule["action"], rule.get("errnoRet", errno.EPERM))
    last = max(numbers.values())
    segments: list[_Segment] = []
    for number in range(first, last + 1):
        action = actions.get(number, default)
        # A rule without arguments decides whatever those with arguments say.
        rules = () if number in actions else tuple(conditional.get(number, ()))
        if not segments or rules or segments[-1].rules or segments[-1].action != action:
            segments.append(_Segment(number, action, rules))
    # A profile that lets everything through but a few calls lets new calls through as well.
    lenient = default in (k.SECCOMP_RET_ALLOW, k.SECCOMP_RET_LOG)
    segments.append(_Segment(last + 1, default if lenient else _UNKNOWN))
    return segments


def _alternatives(rule: SeccompRule) -> list[SeccompRule]:
    """Conditions on different arguments must all hold; of several on the same argument, any (as runc has it)."""
    args = rule.get("args", [])
    if len({argument["index"] for argument in args}) == len(args):
        return [rule]
    return [{**rule, "args": [argument]} for argument in args]


def _search(segments: Sequence[_Segment]) -> list[_Insn]:
    if len(segments) == 1:
        segment = segments[0]
        return [*_conditions(segment.rules), _Insn(_RETURN, segment.action)]
    middle = len(segments) // 2
    low, high = _search(segments[:middle]), _search(segments[middle:])
    first = segments[middle].first
    if len(low) <= 255:
        return [_Insn(_JUMP_AT_LEAST, first, len(low), 0), *low, *high]
    # A conditional jump reaches 255 instructions only.
    return [_Insn(_JUMP_AT_LEAST, first, 0, 1), _Insn(_JUMP, len(low)), *low, *high]


def _conditions(rules: Sequence[SeccompRule]) -> list[_Insn]:
    """Each rule: all its arguments match, then its action; else on to the next rule."""
    result: list[_Insn] = []
    for rule in rules:
        tests = [_test(argument) for argument in rule.get("args", ())]
        action = _Insn(_RETURN, _action(rule["action"], rule.get("errnoRet", errno.EPERM)))
        block: list[_Insn] = []
        for position, test in enumerate(tests):
            to_end = sum(len(t) for t in tests[position + 1 :]) + 1  # past the remaining tests and the action
            block += _resolve(test, to_end)
        result += [*block, action]
    return result


# A test is a list of instructions whose jumps are "next" instruction, "pass" (end of the test) or "fail".
_Test = list[tuple[int, int, str, str]]


def _resolve(test: _Test, to_end: int) -> list[_Insn]:
    result: list[_Insn] = []
    for place, (code, value, if_true, if_false) in enumerate(test):
        rest = len(test) - place - 1
        where = {"next": 0, "pass": rest, "fail": rest + to_end}
        result.append(_Insn(code, value, where[if_true], where[if_false]))
    return result


def _test(argument: SeccompArg) -> _Test:
    """One 64-bit comparison in halves; both machines are little-endian."""
    offset = _ARGS_OFFSET + 8 * argument["index"]
    value, op = argument["value"] & (1 << 64) - 1, argument["op"]
    high, low = value >> 32, value & 0xFFFFFFFF
    load_high, load_low = (_LOAD, offset + 4, "next", "next"), (_LOAD, offset, "next", "next")
    if op == "SCMP_CMP_MASKED_EQ":
        wanted = argument.get("valueTwo", 0)
        return [
            load_high,
            (_AND, high, "next", "next"),
            (_JUMP_EQUAL, wanted >> 32, "next", "fail"),
            load_low,
            (_AND, low, "next", "next"),
            (_JUMP_EQUAL, wanted & 0xFFFFFFFF, "pass", "fail"),
        ]
    if op in ("SCMP_CMP_EQ", "SCMP_CMP_NE"):
        good, bad = ("pass", "fail") if op == "SCMP_CMP_EQ" else ("fail", "pass")
        return [load_high, (_JUMP_EQUAL, high, "next", bad), load_low, (_JUMP_EQUAL, low, good, bad)]
    if op not in ("SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_LT", "SCMP_CMP_LE"):
        raise InvalidError(f"unknown seccomp comparison {op}")
    good, bad = ("pass", "fail") if op in ("SCMP_CMP_GT", "SCMP_CMP_GE") else ("fail", "pass")
    compare = _JUMP_GREATER if op in ("SCMP_CMP_GT", "SCMP_CMP_LE") else _JUMP_AT_LEAST
    return [
        load_high,
        (_JUMP_GREATER, high, good, "next"),
        (_JUMP_EQUAL, high, "next", bad),
        load_low,
        (compare, low, good, bad),
    ]
