"""The trampoline: a static program of about 300 bytes that execs a container's program.

Why it exists: between fork and exec the child *is* the host's Python interpreter. If it exec'ed a program named by
the container directly, an image could name `#!/proc/self/exe` as its interpreter and so run, or open and overwrite,
the host's Python (DESIGN 3.7, compare CVE-2019-5736). The child execs this program from a sealed memfd instead;
/proc/self/exe then is a file of which nobody can change a byte.

Convention:

    argv[0]     path of the program to run
    argv[1..]   the program's own argv, from its argv[0] on
    envp        the program's environment
    error fd    a pipe, number built into the code; inherited without close-on-exec, set to close-on-exec
    here.
                Execve worked: the reader sees end-of-file. It failed: the reader gets errno (4 bytes, native
                order), and the trampoline exits with 127.
                Not open: it was run a second time, as the interpreter of a script that begins with
                #!/proc/self/exe, and exits with 127 before that becomes an endless loop.

Listing, x86-64                              Listing, aarch64
    mov  eax, 72         fcntl                   mov  x8, #25
    mov  edi, FD                                 mov  x0, #FD
    mov  esi, 2          F_SETFD                 mov  x1, #2
    mov  edx, 1          FD_CLOEXEC              mov  x2, #1
    syscall                                      svc  #0
    test eax, eax                                tbnz x0, #63, exit
    js   exit
    mov  rcx, [rsp]      argc                    ldr  x9, [sp]
    mov  rdi, [rsp+8]    argv[0]                 ldr  x0, [sp, #8]
    lea  rsi, [rsp+16]   &argv[1]                add  x1, sp, #16
    lea  rdx, [rsp+rcx*8+16]  envp               add  x2, sp, x9, lsl #3
                                                 add  x2, x2, #16
    mov  eax, 59         execve                  mov  x8, #221
    syscall                                      svc  #0
    neg  eax             errno                   neg  w0, w0
    push rax                                     str  x0, [sp, #-16]!
    mov  edi, FD                                 mov  x0, #FD
    mov  rsi, rsp                                mov  x1, sp
    mov  edx, 4                                  mov  x2, #4
    mov  eax, 1          write                   mov  x8, #64
    syscall                                      svc  #0
  exit:
    mov  edi, 127                                mov  x0, #127
    mov  eax, 231        exit_group              mov  x8, #94
    syscall                                      svc  #0
"""

import fcntl
import os
import struct

from runtime.errors import UnsupportedError
from runtime.linux import constants as k

_ADDRESS = 0x400000
_HEADERS = 64 + 2 * 56
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def _code_x86_64(error_fd: int) -> bytes:
    fd = struct.pack("<I", error_fd)
    return b"".join(
        (
            b"\xb8\x48\x00\x00\x00",  # mov eax, 72
            b"\xbf" + fd,  # mov edi, FD
            b"\xbe\x02\x00\x00\x00",  # mov esi, 2
            b"\xba\x01\x00\x00\x00",  # mov edx, 1
            b"\x0f\x05",  # syscall
            b"\x85\xc0",  # test eax, eax
            b"\x78\x31",  # js exit
            b"\x48\x8b\x0c\x24",  # mov rcx, [rsp]
            b"\x48\x8b\x7c\x24\x08",  # mov rdi, [rsp+8]
            b"\x48\x8d\x74\x24\x10",  # lea rsi, [rsp+16]
            b"\x48\x8d\x54\xcc\x10",  # lea rdx, [rsp+rcx*8+16]
            b"\xb8\x3b\x00\x00\x00",  # mov eax, 59
            b"\x0f\x05",  # syscall
            b"\xf7\xd8",  # neg eax
            b"\x50",  # push rax
            b"\xbf" + fd,  # mov edi, FD
            b"\x48\x89\xe6",  # mov rsi, rsp
            b"\xba\x04\x00\x00\x00",  # mov edx, 4
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1
            b"\x0f\x05",  # syscall
            b"\xbf\x7f\x00\x00\x00",  # mov edi, 127
            b"\xb8\xe7\x00\x00\x00",  # mov eax, 231
            b"\x0f\x05",  # syscall
        )
    )


def _code_aarch64(error_fd: int) -> bytes:
    def mov(register: int, value: int) -> int:  # movz Xd, #imm16
        return 0xD2800000 | value << 5 | register

    svc = 0xD4000001
    words = (
        mov(8, 25),
        mov(0, error_fd),
        mov(1, 2),
        mov(2, 1),
        svc,
        0xB7F80000 | 15 << 5,  # tbnz x0, #63, exit
        0xF94003E9,  # ldr x9, [sp]
        0xF94007E0,  # ldr x0, [sp, #8]
        0x910043E1,  # add x1, sp, #16
        0x8B296FE2,  # add x2, sp, x9, lsl #3
        0x91004042,  # add x2, x2, #16
        mov(8, 221),
        svc,
        0x4B0003E0,  # neg w0, w0
        0xF81F0FE0,  # str x0, [sp, #-16]!
        mov(0, error_fd),
        0x910003E1,  # mov x1, sp
        mov(2, 4),
        mov(8, 64),
        svc,
        mov(0, 127),
        mov(8, 94),
        svc,
    )
    return struct.pack(f"<{len(words)}I", *words)


_CODE = {"x86_64": _code_x86_64, "aarch64": _code_aarch64}
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183}


def build(error_fd: int, machine: str) -> bytes:
    """The trampoline as an ELF executable. `error_fd` is below 65536, `machine` as uname(2) says it."""
    return as_executable(_CODE[machine](error_fd), machine)


def as_executable(code: bytes, machine: str) -> bytes:
    """Machine code that stands for itself as an ELF executable (elf(5)), which begins with its first byte."""
    size = _HEADERS + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64 bits, little endian, version 1
    header = struct.pack(
        "<HHIQQQIHHHHHH", 2, _ELF_MACHINES[machine], 1, _ADDRESS + _HEADERS, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )  # fmt: skip
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)  # PT_LOAD, R+X
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 6, 0, 0, 0, 0, 0, 16)  # PT_GNU_STACK, not executable
    return ident + header + load + stack + code


def open_trampoline(error_fd: int) -> int:
    """A sealed, close-on-exec memfd of the trampoline for that error descriptor. The caller closes it.

    Raises UnsupportedError where the administrator forbids executable memfds (sysctl vm.memfd_noexec).
    """
    program = build(error_fd, os.uname().machine)
    flags = k.MFD_CLOEXEC | k.MFD_ALLOW_SEALING
    try:
        fd = os.memfd_create("trampoline", flags | k.MFD_EXEC)
    except PermissionError:
        raise UnsupportedError(
            "the kernel refuses executable memory files (vm.memfd_noexec=2)",
            hint="sysctl vm.memfd_noexec=1, or leave it at 0",
        ) from None
    except OSError:  # EINVAL: before Linux 6.3 there is no such flag and every memfd is executable
        fd = os.memfd_create("trampoline", flags)
    try:
        os.write(fd, program)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
