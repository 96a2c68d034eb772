"""Engines nobody here wrote drive the runtime: podman with conmon, and a dockerd of the test's own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import ForeignEngine, docker_engine, podman_engine, runtime_program
from tests.oci_cli.runtime import wait

pytestmark = pytest.mark.root
LOOP = "echo started; trap 'exit 5' TERM; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return runtime_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def podman(
    tmp_path_factory: pytest.TempPathFactory, busybox_root: Path, program: str
) -> Iterator[ForeignEngine]:
    base = tmp_path_factory.mktemp("podman")
    rootfs = base / "rootfs"  # podman writes into it
    shutil.copytree(busybox_root, rootfs, symlinks=True)
    with podman_engine(base, program, ["--rootfs", str(rootfs)]) as engine:
        yield engine


@pytest.fixture(scope="module")
def docker(
    tmp_path_factory: pytest.TempPathFactory, busybox_root: Path, program: str
) -> Iterator[ForeignEngine]:
    with docker_engine(tmp_path_factory.mktemp("docker"), program, ["box"]) as engine:
        archive = subprocess.Popen(["tar", "-C", str(busybox_root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(
            [*engine.command, "import", "-", "box"],
            stdin=archive.stdout,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive.wait()
        yield engine


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> ForeignEngine:
    found: ForeignEngine = request.getfixturevalue(request.param)
    return found


def test_run_and_exit_codes(engine: ForeignEngine) -> None:
    assert engine.run("--rm", command=("echo", "hi")) == "hi\n"
    engine.run("--rm", command=("sh", "-c", "exit 7"), code=7)
    engine.run("--rm", command=("no-such-program",), code=127)
    engine.run("--rm", command=("/etc/passwd",), code=126)


def test_a_running_container(engine: ForeignEngine) -> None:
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


def state(engine: ForeignEngine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.call("inspect", name))[0]["State"]
    return found


def test_security_and_mounts(engine: ForeignEngine, tmp_path: Path) -> None:
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


def test_a_terminal(engine: ForeignEngine) -> None:
    assert "/dev/pts/0" in engine.run("--rm", "-t", command=("tty",))


def test_kill_and_a_small_limit(engine: ForeignEngine) -> None:
    engine.run("-d", "--name", "pctest-kill", command=("sleep", "100"))
    try:
        engine.call("kill", "pctest-kill")
        wait(lambda: state(engine, "pctest-kill")["Status"] == "exited")
        assert state(engine, "pctest-kill")["ExitCode"] == 137
    finally:
        engine.call("rm", "-f", "pctest-kill")
    assert engine.run("--rm", "--memory", "8m", command=("echo", "small")) == "small\n"


def test_health(docker: ForeignEngine, wait_health: Callable[[ForeignEngine, str], str]) -> None:
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
def wait_health() -> Callable[[ForeignEngine, str], str]:
    def wait_for(engine: ForeignEngine, name: str) -> str:
        deadline = time.monotonic() + 15
        while (
            status := str(state(engine, name)["Health"]["Status"])
        ) == "starting" and time.monotonic() < deadline:
            time.sleep(0.1)
        return status

    return wait_for
