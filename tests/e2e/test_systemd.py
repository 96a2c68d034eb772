"""Beside systemd: containers outlive the unit or session that started them, and systemd leaves their limits alone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project

UNIFIED = Path("/sys/fs/cgroup")

pytestmark = pytest.mark.skipif(
    not os.path.isdir("/run/systemd/system") or shutil.which("systemd-run") is None,
    reason="systemd does not run this machine",
)


@pytest.fixture
def scope() -> Iterator[str]:
    """The name of a scope of its own, which is what a login session is to the processes in it."""
    name = f"pctest-{os.getpid()}-{time.monotonic_ns()}.scope"
    yield name
    subprocess.run(["systemctl", "stop", name], capture_output=True, timeout=60, check=False)


def test_containers_outlive_the_session_that_started_them(project: Project, scope: str) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    command = project.command
    bystander = subprocess.Popen(
        ["systemd-run", "--quiet", "--scope", "--collect", f"--unit={scope}", "sleep", "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        folder = _folder_of_scope(scope)
        # A process of the scope starts the containers.
        script = 'echo $$ > "$0" && exec "$@"'
        project.command = ["sh", "-c", script, f"{folder}/cgroup.procs", *command]
        project.run("up", "-d")
        project.command = command
        subprocess.run(["systemctl", "stop", scope], timeout=60, check=True)
        # That it ended, too, shows that the stop reached what was in the scope.
        assert bystander.wait(30) != 0
    finally:
        bystander.kill()
        bystander.wait(10)
    assert project.ps()["project-a-1"]["State"] == "running"
    assert project.exec("a", "echo", "still here") == "still here\n"
    project.run("down", "-t", "0")


def _folder_of_scope(scope: str) -> Path:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = subprocess.run(
            ["systemctl", "show", "--property=ControlGroup", "--value", scope],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        for top in (UNIFIED, UNIFIED / "systemd"):
            folder = Path(f"{top}{answer.stdout.strip()}")
            if answer.stdout.strip() and (folder / "cgroup.procs").exists():
                return folder
        time.sleep(0.05)
    raise AssertionError(f"{scope} did not come up")


@pytest.mark.skipif(not (UNIFIED / "cgroup.controllers").exists(), reason="not a pure cgroup v2 machine")
def test_limits_outlive_a_reload_of_systemd(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            mem_limit: 32m
            memswap_limit: 48m
            cpus: 0.5
            cpuset: "0"
            pids_limit: 33
        """
    )
    project.run("up", "-d")
    parent = UNIFIED / project.paths.cgroup_parent
    (container,) = (folder for folder in parent.iterdir() if folder.is_dir() and folder.name != "shim")
    expected = {
        "memory.max": str(32 << 20),
        "memory.swap.max": str(16 << 20),
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "pids.max": "33",
    }
    # systemd takes controllers it does not use away from the root, unless something below has them enabled.
    for command in ("daemon-reload", "daemon-reexec"):
        subprocess.run(["systemctl", command], timeout=120, check=True)
        assert {file: (container / file).read_text().strip() for file in expected} == expected, command
    # A cgroup with controllers enabled may hold no processes: they are in the leaves.
    assert (parent / "cgroup.procs").read_text() == ""
    assert len((parent / "shim/cgroup.procs").read_text().split()) == 1
    project.run("up", "-d", "--force-recreate", "-t", "0")
    project.run("down", "-t", "0")
