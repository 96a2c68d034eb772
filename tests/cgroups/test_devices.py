"""The eBPF program for device rules: interpreted here for a table, and attached for real to the v2 tree."""

import os
import struct
import time

import pytest

from runtime.cgroups.detect import detect_layout
from runtime.cgroups.v2.devices import assemble, attach
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.oci.container_spec import ResourceLimits
from runtime.oci.resources import plan_resources
from runtime.oci.spec import DeviceRule

RULES = plan_resources(ResourceLimits(), privileged=False)["devices"]


def interpret(program: bytes, kind: str, access: str, major: int, minor: int) -> bool:
    """What the kernel would do with these eight instructions of eBPF."""
    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = {0: bits << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = [0] * 11
    place = 0
    while True:
        code, both, offset, value = struct.unpack_from("<BBhi", program, place * 8)
        dst, src = both & 15, both >> 4
        place += 1
        if code == 0x61:
            registers[dst] = context[offset]
        elif code == 0xBC:
            registers[dst] = registers[src]
        elif code == 0x54:
            registers[dst] &= value
        elif code == 0x74:
            registers[dst] >>= value
        elif code == 0xB7:
            registers[dst] = value
        elif (code == 0x55 and registers[dst] != value) or (code == 0x15 and registers[dst] == value):
            place += offset
        elif code == 0x95:
            return bool(registers[0])
        else:
            assert code in (0x55, 0x15)


@pytest.mark.parametrize(
    ("kind", "access", "major", "minor", "allowed"),
    [
        ("c", "rw", 1, 3, True),
        ("c", "m", 1, 1, True),
        ("c", "r", 1, 1, False),
        ("c", "rm", 1, 1, False),
        ("b", "m", 8, 0, True),
        ("b", "r", 8, 0, False),
        ("c", "rw", 136, 7, True),
        ("c", "rw", 5, 2, True),
        ("b", "r", 1, 3, False),
    ],
)
def test_dockers_rules(kind: str, access: str, major: int, minor: int, allowed: bool) -> None:
    assert interpret(assemble(RULES), kind, access, major, minor) is allowed


def test_a_later_rule_wins() -> None:
    rules: list[DeviceRule] = [
        {"allow": True},
        {"allow": False, "type": "c", "major": 10, "access": "w"},
    ]
    program = assemble(rules)
    assert interpret(program, "b", "rw", 8, 0)
    assert interpret(program, "c", "r", 10, 1)
    assert not interpret(program, "c", "rw", 10, 1)


def programs_of(directory: str) -> list[int]:
    target = os.open(directory, os.O_RDONLY)
    try:
        return syscalls.bpf_prog_query(target, k.BPF_CGROUP_DEVICE)
    finally:
        os.close(target)


@pytest.mark.root
@pytest.mark.parametrize("rules", [RULES, [{"allow": True}]])
def test_the_kernel_takes_it(rules: list[DeviceRule]) -> None:
    unified = detect_layout().unified()
    if unified is None or os.geteuid() != 0:
        pytest.skip("needs root and a cgroup v2 tree")
    directory = f"{unified.mount_point}/pctest-{os.getpid()}-{time.monotonic_ns()}"
    os.mkdir(directory)
    pid = -1
    try:
        attach(directory, [{"allow": False}])  # replaced by the next
        attach(directory, rules)
        assert len(programs_of(directory)) == 1
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                with open(f"{directory}/cgroup.procs", "w") as file:
                    file.write("0")
                os.close(os.open("/dev/null", os.O_RDWR))
                code = 0
                os.close(os.open("/dev/kmsg", os.O_RDONLY))
                code = 1
            except PermissionError:
                code += 10
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == (10 if rules is RULES else 1)
    finally:
        os.rmdir(directory)
