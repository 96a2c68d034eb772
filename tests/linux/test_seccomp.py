"""The compiled filter, interpreted for a table of calls on both machines; for real in tests/container."""

import errno
import os
import struct
from copy import deepcopy
from pathlib import Path

import pytest

from runtime.errors import UnsupportedError
from runtime.linux import constants as k
from runtime.linux.seccomp import compile_profile, filter_flags, load_program
from runtime.linux.syscall_numbers import numbers_of
from runtime.linux.syscall_numbers_32 import i386_numbers, x32_numbers
from runtime.oci.capabilities import DEFAULT, NAMES
from runtime.oci.seccomp_profile import default_profile
from runtime.oci.spec import Seccomp

ARCH = {"x86_64": k.AUDIT_ARCH_X86_64, "aarch64": k.AUDIT_ARCH_AARCH64}
ALLOW = k.SECCOMP_RET_ALLOW
EPERM = k.SECCOMP_RET_ERRNO | errno.EPERM
ENOSYS = k.SECCOMP_RET_ERRNO | errno.ENOSYS


def interpret(program: bytes, number: int, arch: int, args: tuple[int, ...] = ()) -> tuple[int, int]:
    """(action, instructions executed) as the kernel's interpreter gives it."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(args + (0,) * 6)[:6])
    place = steps = accumulator = 0
    while True:
        code, jt, jf, value = struct.unpack_from("=HBBI", program, place * 8)
        place, steps = place + 1, steps + 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return value, steps
        elif code == 0x05:
            place += value
        else:
            matched = {0x15: accumulator == value, 0x25: accumulator > value, 0x35: accumulator >= value}
            place += jt if matched[code] else jf


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("read", (), ALLOW),
        ("execve", (), ALLOW),
        ("execveat", (), ALLOW),
        ("openat2", (), ALLOW),
        ("mount", (), EPERM),
        ("unshare", (), EPERM),
        ("setns", (), EPERM),
        ("bpf", (), EPERM),
        ("io_uring_setup", (), EPERM),
        ("keyctl", (), EPERM),
        ("clone3", (), ENOSYS),
        ("clone", (17,), ALLOW),
        ("clone", (k.CLONE_NEWUSER | 17,), EPERM),
        ("clone", (k.CLONE_NEWCGROUP,), EPERM),
        ("personality", (0,), ALLOW),
        ("personality", (0xFFFFFFFF,), ALLOW),
        ("personality", (0x0040000,), EPERM),
        ("socket", (2,), ALLOW),
        ("socket", (40,), EPERM),
        ("socket", (1 << 32 | 40,), EPERM),
        ("socket", (44,), ALLOW),
        ("reboot", (), EPERM),
    ],
)
def test_the_default_profile(machine: str, name: str, args: tuple[int, ...], expected: int) -> None:
    program = compile_profile(default_profile(DEFAULT), machine)
    action, steps = interpret(program, numbers_of(machine)[name], ARCH[machine], args)
    assert action == expected
    assert steps < 42


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_number_gets_what_the_profile_says(machine: str) -> None:
    profile = default_profile(NAMES)
    program = compile_profile(profile, machine)
    numbers = numbers_of(machine)
    plain = {n for rule in profile["syscalls"] if "args" not in rule for n in rule["names"]}
    conditional = {n for rule in profile["syscalls"] if "args" in rule for n in rule["names"]}
    for name, number in numbers.items():
        action, _ = interpret(program, number, ARCH[machine], (40,))
        if name not in conditional:
            assert action == (ALLOW if name in plain else EPERM), name
    for number in (max(numbers.values()) + 1, 0x3FFFFFFF, 0xFFFFFFFF):
        assert interpret(program, number, ARCH[machine])[0] == ENOSYS
    for arch in (0x40000028, 0):  # arm
        assert interpret(program, numbers["read"], arch)[0] == ENOSYS


def test_programs_of_32_bits() -> None:
    """The same policy under their own numbers where the profile names their architectures, else ENOSYS."""
    program = compile_profile(default_profile(DEFAULT), "x86_64")
    of_i386, of_x32, i386, own = i386_numbers(), x32_numbers(), k.AUDIT_ARCH_I386, ARCH["x86_64"]
    assert (of_i386["exit"], of_i386["mmap2"], of_i386["clone3"]) == (1, 192, 435)
    assert (of_x32["read"], of_x32["execve"]) == (0x40000000, 0x40000000 + 520)
    for name, args, expected in (
        ("read", (), ALLOW),
        ("mount", (), EPERM),
        ("clone", (k.CLONE_NEWUSER,), EPERM),
        ("clone", (17,), ALLOW),
        ("socket", (2,), ALLOW),
        ("socket", (38,), EPERM),
        ("clone3", (), ENOSYS),
    ):
        assert interpret(program, of_i386[name], i386, args)[0] == expected, name
        assert interpret(program, of_x32[name], own, args)[0] == expected, name
    assert interpret(program, of_i386["stat64"], i386)[0] == ALLOW
    assert interpret(program, of_i386["socketcall"], i386)[0] == ENOSYS
    assert interpret(program, 5000, i386)[0] == ENOSYS
    assert interpret(program, 512, own)[0] == ENOSYS  # x32's number without its bit
    bare: Seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    program = compile_profile(bare, "x86_64")
    assert interpret(program, of_i386["read"], i386)[0] == ENOSYS
    assert interpret(program, of_x32["read"], own)[0] == ENOSYS


def test_capabilities_bring_their_calls() -> None:
    for capability, name in (
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYS_TIME", "clock_settime"),
    ):
        program = compile_profile(default_profile([capability]), "x86_64")
        assert interpret(program, numbers_of("x86_64")[name], ARCH["x86_64"])[0] == ALLOW


def test_what_x86_64_needs_to_start_a_program() -> None:
    program = compile_profile(default_profile(()), "x86_64")
    for name in ("arch_prctl", "set_tid_address", "rseq", "set_robust_list", "prlimit64", "getrandom"):
        assert interpret(program, numbers_of("x86_64")[name], ARCH["x86_64"])[0] == ALLOW, name


@pytest.mark.parametrize(
    ("op", "true_for"),
    [
        ("SCMP_CMP_EQ", {1}),
        ("SCMP_CMP_NE", {0, 2, 3, 4}),
        ("SCMP_CMP_LT", {0}),
        ("SCMP_CMP_LE", {0, 1}),
        ("SCMP_CMP_GT", {2, 3, 4}),
        ("SCMP_CMP_GE", {1, 2, 3, 4}),
    ],
)
def test_comparisons_are_of_64_bits(op: str, true_for: set[int]) -> None:
    values = (4, 5, 6, 1 << 32 | 4, 1 << 32 | 5)
    profile: Seccomp = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": ["read"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 2, "value": 5, "op": op}, {"index": 0, "value": 9, "op": "SCMP_CMP_EQ"}],
            }
        ],
    }
    program = compile_profile(profile, "x86_64")
    for place, value in enumerate(values):
        for first in (9, 8):
            action, _ = interpret(program, 0, ARCH["x86_64"], (first, 0, value))
            assert (action == ALLOW) is (place in true_for and first == 9), value


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="SCMP_ACT_WISH"):
        compile_profile({"defaultAction": "SCMP_ACT_WISH"}, "x86_64")
    with pytest.raises(UnsupportedError, match="riscv64"):
        compile_profile({"defaultAction": "SCMP_ACT_ALLOW"}, "riscv64")


def test_a_lenient_profile_lets_new_calls_through_and_a_strict_one_says_enosys() -> None:
    for default, expected in (
        ("SCMP_ACT_ALLOW", ALLOW),
        ("SCMP_ACT_LOG", 0x7FFC0000),
        ("SCMP_ACT_ERRNO", 0x50026),
    ):
        program = compile_profile({"defaultAction": default}, "x86_64")
        assert interpret(program, 100_000, ARCH["x86_64"], (0, 0, 0))[0] == expected


def test_conditions_on_the_same_argument_are_alternatives() -> None:
    args = [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"} for value in (3, 5)]
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args}
    program = compile_profile({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}, "x86_64")
    answers = [interpret(program, 0, ARCH["x86_64"], (first, 0, 0))[0] == ALLOW for first in (3, 4, 5)]
    assert answers == [True, False, True]


def test_actions_with_a_number_and_flags() -> None:
    rules = [
        {"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 7},
        {"names": ["write"], "action": "SCMP_ACT_NOTIFY"},
    ]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": rules}
    program = compile_profile(profile, "x86_64")
    assert interpret(program, 0, ARCH["x86_64"], (0, 0, 0))[0] == 0x7FF00007
    assert interpret(program, 1, ARCH["x86_64"], (0, 0, 0))[0] == 0x7FC00000
    assert filter_flags(profile) == 0x02 | 0x08
    with pytest.raises(UnsupportedError, match="SECCOMP_FILTER_FLAG_WISH"):
        filter_flags({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WISH"]})


def test_programs_are_kept_as_files(tmp_path: Path) -> None:
    profile = default_profile(DEFAULT)
    first = load_program(deepcopy(profile), str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert first == file.read_bytes() == compile_profile(profile, os.uname().machine)
    file.write_bytes(b"\x06\x00\x00\x00\x00\x00\xff\x7f")
    assert load_program(deepcopy(profile), str(tmp_path)) == file.read_bytes()
    assert load_program(deepcopy(profile), "/nosuch/directory") == first
    assert load_program(None, str(tmp_path)) is None
