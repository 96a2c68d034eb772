"""Programs run in a running container, for real."""

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups.manager import open_cgroup
from runtime.container.exec import exec_process, spawn_exec
from runtime.errors import InvalidError, NotFoundError, StartError
from runtime.linux.seccomp import load_program
from tests.container.shimplay import in_child, in_container, start

pytestmark = pytest.mark.root
Make = Callable[..., Any]


def execute(
    spec: Any, init: Any, cgroup_path: str, *args: str, seccomp: bytes | None = None, **options: Any
) -> int:
    process = exec_process(spec, args, root=f"/proc/{init.pid}/root", **options)
    running = spawn_exec(
        process,
        init_pid=init.pid,
        init_pidfd=init.pidfd,
        cgroup=open_cgroup(cgroup_path),
        stdio=(0, 1, 1),
        seccomp_program=seccomp,
    )
    if running.console >= 0:
        while True:
            try:
                chunk = os.read(running.console, 4096)
            except OSError:
                break
            os.write(1, chunk)
    result = os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED)
    assert result is not None and result.si_pid == running.pid
    return result.si_status


def test_exec_sees_the_container_and_is_confined(
    make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path
) -> None:
    spec = make_spec("sleep", "60", environment=(("FROM", "spec"),))
    program = load_program(spec["linux"].get("seccomp"), str(tmp_path))

    def action(init: Any) -> None:
        script = (
            "hostname; cat /proc/1/comm; echo $FROM $MORE; ls /proc/self/fd | tr '\\n' ' '; grep "
            "-E 'CapEff|Seccomp:' /proc/self/status; cat /proc/self/cgroup; exit 9"
        )
        code = execute(spec, init, cgroup_path, "sh", "-c", script, seccomp=program, env={"MORE": "more"})
        os.write(1, f"code {code}\n".encode())

    lines = in_container(spec, rootfs, cgroup_path, action).splitlines()
    assert lines[:3] == ["box", "sleep", "spec more"]
    assert lines[3].startswith("0 1 2 3 CapEff:\t00000000a80425fb")
    assert lines[4] == "Seccomp:\t2"
    assert all(line.endswith(":/") for line in lines[5:-1])
    assert lines[-1] == "code 9"


def test_exec_as_user_in_directory(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    spec = make_spec("sleep", "60")

    def action(init: Any) -> None:
        execute(spec, init, cgroup_path, "sh", "-c", "id -u; pwd; echo $HOME", user="app", cwd="/tmp")
        execute(spec, init, cgroup_path, "id", user="1234:extra")

    output = in_container(spec, rootfs, cgroup_path, action)
    assert output == "1000\n/tmp\n/home/app\nuid=1234 gid=2000(extra) groups=2000(extra)\n"


def test_exec_with_terminal(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    spec = make_spec("sleep", "60")

    def action(init: Any) -> None:
        execute(spec, init, cgroup_path, "sh", "-c", "tty; echo $TERM; echo t > /dev/tty", tty=True)

    assert in_container(spec, rootfs, cgroup_path, action).split() == ["/dev/pts/0", "xterm", "t"]


def test_exec_of_a_missing_command(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    spec = make_spec("sleep", "60")

    def action(init: Any) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for name, number in (("nosuch", errno.ENOENT), ("noexec", errno.EACCES)):
            try:
                execute(spec, init, cgroup_path, name)
            except StartError as error:
                assert error.errno == number
                os.write(1, f"{error.message}\n".encode())
        assert len(os.listdir("/proc/self/fd")) == before, "descriptors leak"

    output = in_container(spec, rootfs, cgroup_path, action)
    assert output == "cannot run 'nosuch': command not found\ncannot run 'noexec': permission denied\n"


def test_exec_in_a_container_that_has_ended(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    spec = make_spec("sleep", "60")

    def action(init: Any) -> None:
        process = exec_process(spec, ["true"])
        os.kill(init.pid, signal.SIGKILL)
        os.waitid(os.P_PIDFD, init.pidfd, os.WEXITED | os.WNOWAIT)
        try:
            spawn_exec(
                process,
                init_pid=init.pid,
                init_pidfd=init.pidfd,
                cgroup=open_cgroup(cgroup_path),
                stdio=(0, 1, 2),
                seccomp_program=None,
            )
        except StartError as error:
            os.write(1, error.message.encode())

    assert "not running" in in_container(spec, rootfs, cgroup_path, action)


@pytest.mark.parametrize("init_process", [False, True])
def test_container_dies_with_its_shim(
    make_spec: Make, rootfs: str, cgroup_path: str, init_process: bool
) -> None:
    spec = make_spec("sleep", "60", user="app")
    reader, writer = os.pipe()

    def play() -> None:
        null = os.open("/dev/null", os.O_RDWR)
        init = start(spec, rootfs, output=null, cgroup_path=cgroup_path, init=init_process)
        os.write(writer, str(init.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(AssertionError, match="status 9"):
        in_child(play)
    os.close(writer)
    pid = int(os.read(reader, 32))
    os.close(reader)
    cgroup = open_cgroup(cgroup_path)
    deadline = time.monotonic() + 5
    while cgroup.procs() and time.monotonic() < deadline:
        time.sleep(0.005)
    left = cgroup.procs()
    cgroup.kill()
    assert cgroup.delete()
    assert left == [], f"{pid} outlived its shim"


def test_exec_process_refuses_nonsense(make_spec: Make, rootfs: str) -> None:
    spec = make_spec("sleep", "60")
    with pytest.raises(InvalidError):
        exec_process(spec, [])
    with pytest.raises(InvalidError):
        exec_process(spec, ["true"], cwd="relative")
    with pytest.raises(NotFoundError):
        exec_process(spec, ["true"], user="nobodyatall", root=rootfs)
