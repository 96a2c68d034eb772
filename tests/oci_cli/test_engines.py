"""Engines nobody here wrote drive the runtime: podman with conmon, and a dockerd of the test's own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oci_cli.runtime import OURS, wait

pytestmark = pytest.mark.root
# Without CAP_SYS_RESOURCE an engine's default limits cannot be raised.
PODMAN_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--network", "none")
LOOP = "echo started; trap 'exit 5' TERM; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command as one file, which engines want."""
    path = tmp_path_factory.mktemp("program") / "pycompose-oci"
    path.write_text(f"#!{sys.executable} -IS\n{OURS[-1].replace('; ', chr(10))}\n")
    path.chmod(0o755)
    return str(path)


class Engine:
    """One engine: `call` for any command, `run` for containers on our runtime."""

    def __init__(self, command: list[str], run_options: list[str], image: list[str]) -> None:
        self.command, self.run_options, self.image = command, run_options, image

    def call(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [*self.command, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *options: str, command: tuple[str, ...] = (), code: int = 0) -> str:
        return self.call("run", *self.run_options, *options, *self.image, *command, code=code)


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory, busybox_root: Path, program: str) -> Iterator[Engine]:
    if shutil.which("podman") is None or shutil.which("conmon") is None:
        pytest.skip("podman and conmon are not installed (Debian packages podman, conmon)")
    base = tmp_path_factory.mktemp("podman")
    rootfs = base / "rootfs"  # podman writes into it
    shutil.copytree(busybox_root, rootfs, symlinks=True)
    command = [
        "podman", "--root", str(base / "root"), "--runroot", str(base / "run"), "--tmpdir", str(base / "tmp"),
        "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        "--log-level", "fatal", "--runtime", program,
    ]  # fmt: skip
    engine = Engine(command, list(PODMAN_LIMITS), ["--rootfs", str(rootfs)])
    yield engine
    subprocess.run([*command, "rm", "-fa", "-t", "0"], capture_output=True, timeout=60)
    for folder in (
        *Path("/sys/fs/cgroup").glob("libpod_parent"),
        *Path("/sys/fs/cgroup").glob("*/libpod_parent"),
    ):
        for cgroup in (*sorted(folder.rglob("*/"), reverse=True), folder):
            with contextlib.suppress(OSError):  # another podman's
                cgroup.rmdir()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory, busybox_root: Path, program: str) -> Iterator[Engine]:
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed (Debian package docker.io)")
    base = tmp_path_factory.mktemp("docker")
    host = f"unix://{base}/docker.sock"
    with open(base / "log", "w") as log:
        daemon = subprocess.Popen(
            [
                "dockerd", "--data-root", str(base / "data"), "--exec-root", str(base / "exec"), "-H", host,
                "--pidfile", str(base / "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false",
                "--ip-forward=false", "--ip-masq=false", "--storage-driver", "overlay2",
                "--add-runtime", f"ours={program}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        command = ["docker", "-H", host]
        wait(lambda: subprocess.run([*command, "version"], capture_output=True).returncode == 0, 30)
        archive = subprocess.Popen(["tar", "-C", str(busybox_root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(
            [*command, "import", "-", "box"], stdin=archive.stdout, check=True, stdout=subprocess.DEVNULL
        )
        archive.wait()
        yield Engine(command, ["--runtime", "ours", "--network", "none"], ["box"])
        left = subprocess.run([*command, "ps", "-aq"], capture_output=True, text=True).stdout.split()
        if left:
            subprocess.run([*command, "rm", "-f", *left], capture_output=True, timeout=60)
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def test_run_and_exit_codes(engine: Engine) -> None:
    assert engine.run("--rm", command=("echo", "hi")) == "hi\n"
    engine.run("--rm", command=("sh", "-c", "exit 7"), code=7)
    engine.run("--rm", command=("no-such-program",), code=127)
    engine.run("--rm", command=("/etc/passwd",), code=126)


def test_a_running_container(engine: Engine) -> None:
    name = "pctest-running"
    limits = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50")
    engine.run("-d", "--name", name, *limits, command=("sh", "-c", LOOP))
    try:
        wait(lambda: engine.call("logs", name) == "started\n")
        assert engine.call("exec", name, "id", "-u") == "0\n"
        assert engine.call("exec", "-u", "1000", name, "id", "-u") == "1000\n"
        engine.call("exec", name, "sh", "-c", "exit 9", code=9)
        if os.path.isdir("/sys/fs/cgroup/memory"):
            files = ("memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us", "pids/pids.max")
            values = engine.call("exec", name, "cat", *(f"/sys/fs/cgroup/{file}" for file in files))
            assert values.split() == [str(64 << 20), "50000", "50"]
        assert name in engine.call("stats", "--no-stream", "--format", "{{.Name}}", name)
        assert "sleep" in engine.call("top", name)
        engine.call("pause", name)
        assert state(engine, name)["Status"] == "paused"
        engine.call("unpause", name)
        engine.call("restart", "-t", "3", name)
        engine.call("stop", "-t", "5", name)
        assert (state(engine, name)["Status"], state(engine, name)["ExitCode"]) == ("exited", 5)
    finally:
        engine.call("rm", "-f", name)


def state(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.call("inspect", name))[0]["State"]
    return found


def test_security_and_mounts(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside\n")
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    script = (
        "id -u; cat /v/file; touch /x 2>/dev/null || echo ro-root; touch /v/x 2>/dev/null || echo ro-volume;"
        " grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    )
    output = engine.run(
        "--rm", "-u", "1000", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
        "-v", f"{tmp_path}:/v:ro", command=("sh", "-c", script),
    )  # fmt: skip
    assert output.split() == [
        "1000", "from", "outside", "ro-root", "ro-volume", "CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2",
    ]  # fmt: skip


def test_a_terminal(engine: Engine) -> None:
    assert "/dev/pts/0" in engine.run("--rm", "-t", command=("tty",))


def test_kill_and_a_small_limit(engine: Engine) -> None:
    engine.run("-d", "--name", "pctest-kill", command=("sleep", "100"))
    try:
        engine.call("kill", "pctest-kill")
        wait(lambda: state(engine, "pctest-kill")["Status"] == "exited")
        assert state(engine, "pctest-kill")["ExitCode"] == 137
    finally:
        engine.call("rm", "-f", "pctest-kill")
    assert engine.run("--rm", "--memory", "8m", command=("echo", "small")) == "small\n"


def test_health(docker: Engine, wait_health: Callable[[Engine, str], str]) -> None:
    docker.run(
        "-d",
        "--name",
        "pctest-health",
        "--health-cmd",
        "true",
        "--health-interval",
        "200ms",
        command=("sleep", "100"),
    )
    try:
        assert wait_health(docker, "pctest-health") == "healthy"
        docker.call("update", "--memory", "80m", "--memory-swap", "160m", "--cpus", "0.25", "pctest-health")
        if os.path.isdir("/sys/fs/cgroup/memory"):
            file = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            assert docker.call("exec", "pctest-health", "cat", file) == f"{80 << 20}\n"
    finally:
        docker.call("rm", "-f", "pctest-health")


@pytest.fixture
def wait_health() -> Callable[[Engine, str], str]:
    def wait_for(engine: Engine, name: str) -> str:
        deadline = time.monotonic() + 15
        while (
            status := str(state(engine, name)["Health"]["Status"])
        ) == "starting" and time.monotonic() < deadline:
            time.sleep(0.1)
        return status

    return wait_for
