"""Killed at any moment: the next `ps` tells the truth, the next command finishes the job."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.project import Project

STACK = """
    services:
      a: {image: IMAGE, command: sleep 1000, init: true, ports: ["127.0.0.1:PORT0:80"], volumes: ["data:/data"]}
      b: {image: IMAGE, command: sleep 1000, init: true, depends_on: [a], scale: 3}
    volumes: {data: {}}
"""


def shim_of(project: Project, name: str) -> int:
    identifier = next(item["ID"] for key, item in project.ps().items() if key == name)
    (state,) = Path(project.paths.state).glob(f"containers/{identifier}*/state.json")
    return int(json.loads(state.read_text())["shim_pid"])


def test_a_killed_shim_takes_its_container_along_and_up_mends_it(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    os.kill(shim_of(project, "project-a-1"), signal.SIGKILL)
    time.sleep(0.2)
    lost = project.ps()["project-a-1"]
    assert (lost["State"], lost["ExitCode"]) == ("exited", 137)
    project.run("up", "-d")
    assert {item["State"] for item in project.ps().values()} == {"running"}
    for name in ("project-a-1", "project-b-2"):
        os.kill(shim_of(project, name), signal.SIGKILL)
    project.run("down", "-t", "0")


def test_a_killed_first_process_is_an_exit(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    identifier = project.ps()["project-b-1"]["ID"]
    (state,) = Path(project.paths.state).glob(f"containers/{identifier}*/state.json")
    os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
    time.sleep(0.3)
    assert project.ps()["project-b-1"]["ExitCode"] == 137
    project.run("down", "-t", "0")


@pytest.mark.parametrize("delay_ms", [20, 60, 90, 120, 160, 220, 300])
def test_up_killed_at_any_moment(project: Project, delay_ms: int) -> None:
    project.write(STACK)
    project.run("config", "-q")
    up = project.popen("up", "-d")
    time.sleep(delay_ms / 1000)
    up.kill()
    up.communicate()
    project.ps()
    project.run("up", "-d")
    states = project.ps()
    assert len(states) == 4
    assert {item["State"] for item in states.values()} == {"running"}
    project.run("down", "-t", "0")


@pytest.mark.parametrize("delay_ms", [30, 80, 130, 200])
def test_down_killed_at_any_moment(project: Project, delay_ms: int) -> None:
    project.write(STACK)
    project.run("up", "-d")
    down = project.popen("down", "-t", "0")
    time.sleep(delay_ms / 1000)
    down.kill()
    down.communicate()
    project.run("down", "-t", "0")
    assert project.ps() == {}


def test_recreate_killed_half_way(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    for delay_ms in (60, 120, 180):
        up = project.popen("up", "-d", "--force-recreate", "-t", "0")
        time.sleep(delay_ms / 1000)
        up.kill()
        up.communicate()
    project.run("up", "-d")
    states = project.ps()
    assert sorted(states) == ["project-a-1", "project-b-1", "project-b-2", "project-b-3"]
    assert {item["State"] for item in states.values()} == {"running"}
    project.run("down", "-t", "0")


def test_two_ups_of_one_project_serialise(project: Project) -> None:
    project.write(STACK)
    both = [project.popen("up", "-d") for _ in range(2)]
    for command in both:
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors
    assert len(project.ps()) == 4
    project.run("down", "-t", "0")


def test_projects_run_side_by_side(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    names = [f"p{number}" for number in range(4)]
    commands = [project.popen("-p", name, "up", "-d") for name in names]
    for command in commands:
        _, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors
    addresses = {
        project.run("-p", name, "exec", "-T", "a", "hostname", "-i").stdout.split()[0] for name in names
    }
    assert len(addresses) == 4
    for command in [project.popen("-p", name, "down", "-t", "0") for name in names]:
        command.communicate(timeout=60)
        assert command.returncode == 0


def test_an_attached_up_stops_at_ctrl_c_and_does_not_block_down(project: Project) -> None:
    project.write(
        """
        services:
          a: {image: IMAGE, command: "sh -c 'echo begun; sleep 1000'", init: true}
        """
    )
    up = project.popen("up")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(up.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    deadline = time.monotonic() + 10
    while not any("begun" in line for line in lines) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "a-1  | begun\n" in lines
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=15) == 130
    assert project.ps()["project-a-1"]["State"] == "exited"
    second = project.popen("up")
    while project.ps()["project-a-1"]["State"] != "running":
        time.sleep(0.05)
    project.run("down", "-t", "0")
    second.communicate(timeout=15)


def test_down_while_up_waits_for_health(project: Project) -> None:
    project.write(
        """
        services:
          sick: {image: IMAGE, command: sleep 1000, init: true, healthcheck: {test: [CMD, "false"], interval: 1h}}
          web: {image: IMAGE, command: sleep 1000, init: true, depends_on: {sick: {condition: service_healthy}}}
        """
    )
    up = project.popen("up", "-d")
    deadline = time.monotonic() + 10
    while "project-web-1" not in project.ps() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    project.run("down", "-t", "0")
    _, errors = up.communicate(timeout=15)
    assert up.returncode == 1, errors
    assert "Traceback" not in errors
    assert project.ps() == {}


def test_a_second_ctrl_c_kills(project: Project) -> None:
    project.write(
        """
        services:
          stubborn: {image: IMAGE, command: "sh -c 'trap : TERM; echo begun; while :; do sleep 1; done'"}
        """
    )
    up = project.popen("up")
    while project.ps().get("project-stubborn-1", {}).get("State") != "running":
        time.sleep(0.05)
    time.sleep(0.3)
    up.send_signal(signal.SIGINT)
    time.sleep(0.7)
    begun = time.monotonic()
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=8) == 130
    assert time.monotonic() - begun < 5
    up.communicate()
    project.run("down", "-t", "0")


def test_an_idle_shim_does_not_wake_up(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    pid = shim_of(project, "project-a-1")

    def switches() -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

    time.sleep(0.3)
    before = switches()
    time.sleep(1.5)
    assert switches() == before
    project.run("down", "-t", "0")
