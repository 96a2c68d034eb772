"""A static program that is pid 1 of a container: starts the program, forwards signals to it and reaps orphans.

`init: true` on another OCI runtime: it is mounted at PATH and the container's arguments are put behind it. (On our own
runtime the forked child stays pid 1 instead, see reaper.py.)

    argv[0]    its own name
    argv[1]    path of the program to run
    argv[2..]  the program's own argv, from its argv[0] on

It blocks all signals and forks. The child becomes a process group of its own, in the foreground of the terminal if
there is one, unblocks the signals and becomes the program. The parent closes all descriptors and waits for signals:
at SIGCHLD it reaps what has ended, and ends with the program's code (128 + n if signal n ended it); SIGTTIN and SIGTTOU
are of its own doing; any other is sent on. A program that cannot be run is exit code 127.
"""

import os

from runtime.container.trampoline import as_executable

PATH = "/dev/init"

LISTINGS = {
    "x86_64": """
.intel_syntax noprefix
    push -1; mov eax, 14; xor edi, edi; mov rsi, rsp; xor edx, edx; mov r10d, 8; syscall  # rt_sigprocmask
    mov eax, 57; syscall  # fork
    test eax, eax; js fail
    jz child
    mov ebx, eax; mov eax, 436; xor edi, edi; mov esi, -1; xor edx, edx; syscall  # close_range
wait:
    mov eax, 128; mov rdi, rsp; xor esi, esi; xor edx, edx; mov r10d, 8; syscall  # rt_sigtimedwait
    test eax, eax; js wait
    cmp eax, 17; je reap
    cmp eax, 21; je wait
    cmp eax, 22; je wait
    mov esi, eax; mov edi, ebx; mov eax, 62; syscall  # kill
    jmp wait
reap:
    push 0; mov rdi, -1; mov rsi, rsp; mov edx, 1; xor r10d, r10d; mov eax, 61; syscall  # wait4
    pop rcx; test eax, eax; jle wait
    cmp eax, ebx; jne reap
    mov edi, ecx; and edi, 127; jz ended
    add edi, 128; jmp exit
ended:
    movzx edi, ch; jmp exit
child:
    xor edi, edi; xor esi, esi; mov eax, 109; syscall  # setpgid
    mov eax, 39; syscall  # getpid
    mov [rsp], rax; xor edi, edi; mov esi, 0x5410; mov rdx, rsp; mov eax, 16; syscall  # ioctl TIOCSPGRP
    mov qword ptr [rsp], 0; mov eax, 14; mov edi, 2; mov rsi, rsp; xor edx, edx; mov r10d, 8; syscall  # rt_sigprocmask
    mov rcx, [rsp+8]; mov rdi, [rsp+24]; lea rsi, [rsp+32]; lea rdx, [rsp+rcx*8+24]; mov eax, 59; syscall  # execve
fail:
    mov edi, 127
exit:
    mov eax, 231; syscall  # exit_group
""",
    "aarch64": """
    mov x9, #-1; str x9, [sp, #-16]!
    mov x8, #135; mov x0, #0; mov x1, sp; mov x2, #0; mov x3, #8; svc #0  // rt_sigprocmask
    mov x8, #220; mov x0, #17; mov x1, #0; mov x2, #0; mov x3, #0; mov x4, #0; svc #0  // clone SIGCHLD
    cmp x0, #0; b.lt fail
    b.eq child
    mov x19, x0; mov x8, #436; mov x0, #0; mov w1, #-1; mov x2, #0; svc #0  // close_range
wait:
    mov x8, #137; mov x0, sp; mov x1, #0; mov x2, #0; mov x3, #8; svc #0  // rt_sigtimedwait
    cmp x0, #0; b.lt wait
    cmp x0, #17; b.eq reap
    cmp x0, #21; b.eq wait
    cmp x0, #22; b.eq wait
    mov x1, x0; mov x0, x19; mov x8, #129; svc #0  // kill
    b wait
reap:
    str xzr, [sp, #-16]!; mov x8, #260; mov x0, #-1; mov x1, sp; mov x2, #1; mov x3, #0; svc #0  // wait4
    ldr x10, [sp], #16; cmp x0, #0; b.le wait
    cmp x0, x19; b.ne reap
    ands w0, w10, #127; b.eq ended
    add w0, w0, #128; b exit
ended:
    ubfx w0, w10, #8, #8; b exit
child:
    mov x8, #154; mov x0, #0; mov x1, #0; svc #0  // setpgid
    mov x8, #172; svc #0  // getpid
    str x0, [sp]; mov x8, #29; mov x0, #0; mov x1, #0x5410; mov x2, sp; svc #0  // ioctl TIOCSPGRP
    str xzr, [sp]; mov x8, #135; mov x0, #2; mov x1, sp; mov x2, #0; mov x3, #8; svc #0  // rt_sigprocmask
    ldr x9, [sp, #16]; ldr x0, [sp, #32]; add x1, sp, #40; add x2, sp, x9, lsl #3; add x2, x2, #32
    mov x8, #221; svc #0  // execve
fail:
    mov x0, #127
exit:
    mov x8, #94; svc #0  // exit_group
""",
}

_CODE = {
    "x86_64": """
6affb80e00000031ff4889e631d241ba080000000f05b8390000000f0585c00f88e1000000747e89c3b8b401000031ff
beffffffff31d20f05b8800000004889e731f631d241ba080000000f0585c078e883f811741783f81574de83f81674d9
89c689dfb83e0000000f05ebcc6a0048c7c7ffffffff4889e6ba010000004531d2b83d0000000f055985c07eac39d875
dc89cf83e77f740881c780000000eb6b0fb6fdeb6631ff31f6b86d0000000f05b8270000000f054889042431ffbe1054
00004889e2b8100000000f0548c7042400000000b80e000000bf020000004889e631d241ba080000000f05488b4c2408
488b7c2418488d742420488d54cc18b83b0000000f05bf7f000000b8e70000000f05
""",
    "aarch64": """
09008092e90f1ff8e81080d2000080d2e1030091020080d2030180d2010000d4881b80d2200280d2010080d2020080d2
030080d2040080d2010000d41f0000f1eb08005480050054f30300aa883680d2000080d201008012020080d2010000d4
281180d2e0030091010080d2020080d2030180d2010000d41f0000f12bffff541f4400f1400100541f5400f1a0feff54
1f5800f160feff54e10300aae00313aa281080d2010000d4eeffff17ff0f1ff8882080d200008092e1030091220080d2
030080d2010000d4ea0741f81f0000f18dfcff541f0013eba1feff544019007260000054000002111e000014403d0853
1c000014481380d2000080d2010080d2010000d4881580d2010000d4e00300f9a80380d2000080d201828ad2e2030091
010000d4ff0300f9e81080d2400080d2e1030091020080d2030180d2010000d4e90b40f9e01340f9e1a30091e26f298b
42800091a81b80d2010000d4e00f80d2c80b80d2010000d4
""",
}


def build_init(machine: str) -> bytes:
    """The program as an ELF executable; `machine` as uname(2) says it."""
    return as_executable(bytes.fromhex(_CODE[machine]), machine)


def write_init(path: str) -> None:
    """Put the program for this machine into a file that everyone may run. Raises OSError."""
    with open(path, "wb") as file:
        file.write(build_init(os.uname().machine))
    os.chmod(path, 0o755)
