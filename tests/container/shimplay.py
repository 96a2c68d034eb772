"""Plays the shim for tests: its own mount and network namespace, a busybox root filesystem, one container."""

import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runtime.cgroups.detect import Layout
from runtime.cgroups.manager import open_cgroup
from runtime.container.start import Init, spawn_init
from runtime.errors import StartError
from runtime.linux import constants as k
from runtime.linux import syscalls

_WORDS = """
sh cat ls id hostname mount ps sleep true false echo touch mkdir kill stty test env pwd head grep dd stat
sync wc tr nice
chmod tty mknod cut readlink umount dmesg unshare ln date
"""
APPLETS = _WORDS.split()


class Outcome(NamedTuple):
    """What one run gave: exit code (negative = killed by a signal) and all output."""

    code: int
    output: str
    error: StartError | None = None


def make_rootfs(directory: str) -> str:
    """A root filesystem with busybox and two users."""
    root = os.path.join(directory, "rootfs")
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/app", "var/tmp"):
        os.makedirs(f"{root}/{name}")
    subprocess.run(["cp", "/bin/busybox", f"{root}/bin/busybox"], check=True)
    for applet in APPLETS:
        os.symlink("busybox", f"{root}/bin/{applet}")
    os.chmod(f"{root}/tmp", 0o1777)
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
    with open(f"{root}/etc/group", "w") as file:
        file.write("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    with open(f"{root}/bin/noexec", "w") as file:
        file.write("#!/bin/sh\n")
    return root


def in_child(action: Callable[[], None], timeout_s: float = 20.0) -> str:
    """Run `action` in a forked child with namespaces of its own; returns what it wrote to descriptor 1."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            os.dup2(writer, 1)
            os.setsid()
            syscalls.unshare(k.CLONE_NEWNS | k.CLONE_NEWNET)
            syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
            action()
            sys.stdout.flush()
            code = 0
        except BaseException:
            os.write(1, traceback.format_exc().encode())
        finally:
            os._exit(code)
    os.close(writer)
    output = _collect(reader, pid, timeout_s)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise AssertionError(f"child failed with status {status}:\n{output}")
    return output


def _collect(reader: int, pid: int, timeout_s: float) -> str:
    chunks: list[bytes] = []
    while True:
        ready, _, _ = select.select([reader], [], [], timeout_s)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"no answer in {timeout_s} s; so far: {b''.join(chunks)!r}")
        chunk = os.read(reader, 65536)
        if not chunk:
            os.close(reader)
            return b"".join(chunks).decode(errors="replace")
        chunks.append(chunk)


def start(
    spec: Any,
    rootfs: str,
    *,
    output: int,
    cgroup_path: str,
    seccomp: bytes | None = None,
    init: bool = False,
    preserve: Sequence[int] = (),
    layout: Layout | None = None,
) -> Init:
    """Create cgroup and container in the current namespaces and let it run."""
    cgroup = open_cgroup(cgroup_path, layout=layout)
    cgroup.create(spec["linux"].get("resources", {}))
    null = os.open("/dev/null", os.O_RDONLY)
    started = spawn_init(
        spec,
        rootfs=rootfs,
        cgroup=cgroup,
        stdio=(null, output, output),
        init_process=init,
        seccomp_program=seccomp,
        preserve_fds=preserve,
    )
    os.close(null)
    started.wait_created()
    started.start()
    return started


def run(spec: Any, rootfs: str, cgroup_path: str, **options: Any) -> Outcome:
    """Run one container to its end in namespaces of its own."""
    near, far = socket.socketpair()

    def action() -> None:
        syscalls.mount(rootfs, rootfs, None, k.MS_BIND, None)
        reader, writer = os.pipe()
        try:
            init = start(spec, rootfs, output=writer, cgroup_path=cgroup_path, **options)
        except StartError as error:
            far.sendall(f"error\n{error.errno}\n{error.step}\n{error.message}\n{error.hint}".encode())
            return
        os.close(writer)
        if init.console >= 0:
            os.close(reader)
            reader = init.console
        while True:
            try:
                chunk = os.read(reader, 65536)
            except OSError:
                break
            if not chunk:
                break
            os.write(1, chunk)
        _, status = os.waitpid(init.pid, 0)
        far.sendall(f"code\n{os.waitstatus_to_exitcode(status)}".encode())

    try:
        output = in_child(action)
        far.close()
        report = b""
        while chunk := near.recv(65536):
            report += chunk
    finally:
        near.close()
        far.close()
        cgroup = open_cgroup(cgroup_path)
        cgroup.kill()
        assert cgroup.delete()
    kind, _, rest = report.decode().partition("\n")
    if kind == "code":
        return Outcome(int(rest), output)
    number, step, message, hint = rest.split("\n", 3)
    return Outcome(-1, output, StartError(message, step=step, errno=int(number), hint=hint))


def in_container(
    spec: Any, rootfs: str, cgroup_path: str, action: Callable[[Any], None], **options: Any
) -> str:
    """Run `action(init)` in the namespaces of a shim that has started the container."""

    def play() -> None:
        null = os.open("/dev/null", os.O_RDWR)
        init = start(spec, rootfs, output=null, cgroup_path=cgroup_path, **options)
        action(init)
        os.kill(init.pid, signal.SIGKILL)
        os.waitpid(init.pid, 0)

    try:
        return in_child(play)
    finally:
        cgroup = open_cgroup(cgroup_path)
        cgroup.kill()
        assert cgroup.delete()
