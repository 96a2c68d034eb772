"""The trampoline: its bytes against an assembler, and the real thing."""

import errno
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from runtime.container.static_init import LISTINGS, build_init, write_init
from runtime.container.trampoline import build, open_trampoline

_LISTINGS = {
    "x86_64": (
        ("as", "objcopy"),
        """
        .intel_syntax noprefix
        mov eax, 72; mov edi, FD; mov esi, 2; mov edx, 1; syscall
        test eax, eax; js exit
        mov rcx, [rsp]; mov rdi, [rsp+8]; lea rsi, [rsp+16]; lea rdx, [rsp+rcx*8+16]
        mov eax, 59; syscall
        neg eax; push rax; mov edi, FD; mov rsi, rsp; mov edx, 4; mov eax, 1; syscall
        exit: mov edi, 127; mov eax, 231; syscall
        """,
    ),
    "aarch64": (
        ("aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"),
        """
        mov x8, #25; mov x0, #FD; mov x1, #2; mov x2, #1; svc #0
        tbnz x0, #63, exit
        ldr x9, [sp]; ldr x0, [sp, #8]; add x1, sp, #16; add x2, sp, x9, lsl #3; add x2, x2, #16
        mov x8, #221; svc #0
        neg w0, w0; str x0, [sp, #-16]!; mov x0, #FD; mov x1, sp; mov x2, #4; mov x8, #64; svc #0
        exit: mov x0, #127; mov x8, #94; svc #0
        """,
    ),
}


def assemble(machine: str, listing: str, folder: Path) -> bytes:
    (assembler, objcopy), _ = _LISTINGS[machine]
    if not (shutil.which(assembler) and shutil.which(objcopy)):
        pytest.skip(f"needs {assembler} (binutils)")
    (folder / "t.s").write_text(listing.replace(";", "\n"))
    for command in (
        [assembler, "-o", "t.o", "t.s"],
        [objcopy, "-O", "binary", "-j", ".text", "t.o", "t.bin"],
    ):
        subprocess.run(command, check=True, timeout=20, cwd=folder)
    return (folder / "t.bin").read_bytes()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_bytes_are_the_listing(machine: str, tmp_path: Path) -> None:
    _, listing = _LISTINGS[machine]
    assert build(7, machine)[64 + 2 * 56 :] == assemble(machine, listing.replace("FD", "7"), tmp_path)
    assert build_init(machine)[64 + 2 * 56 :] == assemble(machine, LISTINGS[machine], tmp_path)


def test_the_static_init(tmp_path: Path) -> None:
    program = str(tmp_path / "init")
    write_init(program)

    def run(script: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([program, "/bin/sh", "sh", "-c", script], stdout=subprocess.PIPE)

    assert run("exit 7").wait(10) == 7
    assert run("kill -9 $$").wait(10) == 137
    assert subprocess.run([program, "/no/such", "program"], timeout=10).returncode == 127
    process = run("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(10) == 5
    assert process.stdout.read() == b""  # it holds nothing open


def run_trampoline(command: list[str], error_fd: int, writer: int) -> int:
    """Run a command with `writer` as descriptor `error_fd`; its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(writer, error_fd, inheritable=True)
            os.execve(command[0], command, {"KEY": "value"})
        finally:
            os._exit(99)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_it_runs_programs_and_reports_failure(machine: str, tmp_path: Path) -> None:
    emulator = [] if os.uname().machine == machine else [shutil.which(f"qemu-{machine}-static") or ""]
    if emulator == [""]:
        pytest.skip(f"needs qemu-{machine}-static to run {machine} code")
    program = tmp_path / "trampoline"
    program.write_bytes(build(9, machine))
    program.chmod(0o755)
    # qemu's -0 gives the program its argv[0], which is our path to run.
    prefix = [*emulator, "-0"] if emulator else []
    for path, expected, code in (("/bin/busybox", b"", 5), ("/nosuch", struct.pack("=i", errno.ENOENT), 127)):
        args = ["sh", "-c", 'test "$KEY" = value && test ! -e /proc/self/fd/9 && exit 5']
        reader, writer = os.pipe()
        if emulator:
            status = run_trampoline([*prefix, path, str(program), *args], 9, writer)
            os.close(writer)
        else:
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(writer, 9, inheritable=True)
                    os.execve(str(program), [path, *args], {"KEY": "value"})
                finally:
                    os._exit(99)
            os.close(writer)
            status = os.waitpid(pid, 0)[1]
        with open(reader, "rb") as file:
            assert file.read() == expected
        assert os.waitstatus_to_exitcode(status) == code


def test_the_memfd_is_sealed() -> None:
    fd = open_trampoline(9)
    try:
        with pytest.raises(PermissionError):
            os.write(fd, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
