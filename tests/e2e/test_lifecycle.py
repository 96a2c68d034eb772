"""A stack's life through the command: up, ps, logs, exec, stop, start, down."""

import json
import os
import time
from pathlib import Path

import pytest

from tests.project import Project

STACK = """
    services:
      db:
        image: IMAGE
        command: sh -c 'sleep 0.3; touch /ready; echo db ready; trap "exit 0" TERM; sleep 1000 & wait'
        healthcheck:
          test: ["CMD", "test", "-e", "/ready"]
          interval: 100ms
          retries: 50
      web:
        image: IMAGE
        init: true
        command: sh -c 'echo web sees $$GREETING; sleep 1000'
        environment:
          GREETING: hello
        depends_on:
          db: {condition: service_healthy}
"""


def test_a_stack_comes_up_and_goes_down(project: Project) -> None:
    project.write(STACK)
    up = project.run("up", "-d")
    assert "Container project-web-1  Started" in up.stderr
    order = [line for line in up.stderr.splitlines() if "Healthy" in line or "web-1  Starting" in line]
    assert "Healthy" in order[0], "web was started before db was healthy"
    containers = project.ps()
    assert {item["State"] for item in containers.values()} == {"running"}
    assert containers["project-db-1"]["Health"] == "healthy"
    logs = project.run("logs").stdout
    assert "web-1  | web sees hello" in logs
    assert "db-1   | db ready" in logs
    assert project.exec("web", "hostname").strip() == containers["project-web-1"]["ID"]
    assert "Running" in project.run("up", "-d").stderr
    down = project.run("down")
    assert "Network project_default  Removed" in down.stderr
    assert project.ps() == {}


def test_only_what_changed_is_made_anew(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    before = project.ps()
    project.write(STACK.replace("GREETING: hello", "GREETING: changed"))
    up = project.run("up", "-d").stderr
    assert "environment.GREETING changed" in up
    assert "compose.yaml:" in up
    after = project.ps()
    assert before["project-db-1"]["ID"] == after["project-db-1"]["ID"]
    assert before["project-web-1"]["ID"] != after["project-web-1"]["ID"]
    assert "web sees changed" in project.run("logs", "web").stdout
    project.run("down", "-t", "0")


def test_stop_start_restart_kill(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    project.run("stop", "web")
    stopped = project.ps()["project-web-1"]
    assert (stopped["State"], stopped["ExitCode"]) == ("exited", 143)
    project.run("start")
    first = project.ps()
    assert {item["State"] for item in first.values()} == {"running"}
    project.run("restart", "-t", "1", "web")
    assert project.run("logs", "web").stdout.count("web sees hello") == 3
    project.run("kill", "-s", "SIGKILL", "db")
    time.sleep(0.3)
    assert project.ps()["project-db-1"]["ExitCode"] == 137
    project.run("down", "-t", "0")


def test_dry_run_prints_the_plan_and_touches_nothing(project: Project) -> None:
    project.write(STACK)
    plan = project.run("up", "--dry-run").stdout.splitlines()
    assert plan[0] == "create network project_default  (new)"
    assert "wait for service db to be healthy  (web depends on it)" in plan
    assert project.ps() == {}


@pytest.mark.covers("services.*", "depends_on")
@pytest.mark.covers("services.*.depends_on.*", "condition")
def test_a_job_that_must_complete(project: Project) -> None:
    project.write(
        """
        services:
          job:
            image: IMAGE
            command: sh -c 'echo $$RESULT > /data/result'
            environment: {RESULT: done}
            volumes: ["data:/data"]
          app:
            image: IMAGE
            command: cat /data/result
            volumes: ["data:/data"]
            depends_on:
              job: {condition: service_completed_successfully}
        volumes:
          data: {}
        """
    )
    project.run("up", "-d", "--wait")
    assert "done" in project.run("logs", "--no-log-prefix", "app").stdout
    assert project.ps()["project-job-1"]["ExitCode"] == 0
    project.run("down")
    volume = Path(project.paths.data) / "volumes/project_data/_data/result"
    assert volume.read_text() == "done\n", "a named volume stays"
    project.run("down", "-v")
    assert not volume.exists()


def test_a_failed_dependency_keeps_dependents_down(project: Project) -> None:
    project.write(
        """
        services:
          job: {image: IMAGE, command: "false"}
          app:
            image: IMAGE
            command: sleep 100
            depends_on: {job: {condition: service_completed_successfully}}
        """
    )
    up = project.run("up", "-d", code=1)
    assert (
        "dependency failed to start: container project-job-1 didn't complete successfully: exit 1"
        in up.stderr
    )
    assert project.ps()["project-app-1"]["State"] == "created"
    project.run("down")


def test_scale_and_orphans(project: Project) -> None:
    project.write(
        "services:\n  a: {image: IMAGE, command: sleep 1000, init: true}\n"
        "  b: {image: IMAGE, command: sleep 1000, init: true}\n"
    )
    project.run("up", "-d", "--scale", "a=3")
    assert sorted(project.ps()) == ["project-a-1", "project-a-2", "project-a-3", "project-b-1"]
    project.write("services:\n  a: {image: IMAGE, command: sleep 1000, init: true}\n")
    up = project.run("up", "-d")
    assert "orphan" in up.stderr
    assert sorted(project.ps()) == ["project-a-1", "project-b-1"]
    assert sorted(project.ps("--orphans=false")) == ["project-a-1"]
    assert "orphan" in project.run("kill", "--remove-orphans").stderr
    assert {name: item["State"] for name, item in project.ps("-a").items()} == {"project-a-1": "exited"}
    project.run("down", "--remove-orphans")


@pytest.mark.covers("services.*", "restart")
def test_restart_policy_brings_a_program_back(project: Project) -> None:
    project.write(
        """
        services:
          flaky:
            image: IMAGE
            command: sh -c 'echo run; exit 3'
            restart: on-failure:2
        """
    )
    project.run("up", "-d")
    deadline = time.monotonic() + 10
    while project.ps()["project-flaky-1"]["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert project.ps()["project-flaky-1"]["ExitCode"] == 3
    assert project.run("logs", "--no-log-prefix").stdout.split() == ["run"] * 3
    project.run("down")


def test_ps_forms(project: Project) -> None:
    project.write(
        "services:\n  a: {image: IMAGE, command: sleep 1000, init: true, ports: ['127.0.0.1::80']}\n"
    )
    project.run("up", "-d")
    table = project.run("ps").stdout.splitlines()
    assert table[0].split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert "Up " in table[1]
    assert "->80/tcp" in table[1]
    assert project.run("ps", "--services").stdout == "a\n"
    assert len(project.run("ps", "-q").stdout.strip()) == 64
    assert project.run("ps", "--filter", "status=exited", "-q").stdout == ""
    document = json.loads(project.run("ps", "--format", "json").stdout)
    assert document["Publishers"][0]["TargetPort"] == 80
    project.run("down", "-t", "0")


def test_a_program_without_terminal_gets_the_exit_code_through_exec(project: Project) -> None:
    project.write("services:\n  a: {image: IMAGE, command: sleep 1000, init: true}\n")
    project.run("up", "-d")
    project.run("exec", "-T", "a", "sh", "-c", "exit 7", code=7)
    assert "not found" in project.run("exec", "-T", "a", "nosuch", code=127).stderr
    project.run("exec", "-T", "a", "/etc/passwd", code=126)
    assert (
        project.run(
            "exec", "-T", "-u", "worker", "-w", "/tmp", "-e", "X=1", "a", "sh", "-c", "id -u; pwd; echo $X"
        ).stdout
        == "1000\n/tmp\n1\n"
    )
    project.run("exec", "-d", "a", "sh", "-c", "touch /made")
    deadline = time.monotonic() + 5
    while "made" not in project.exec("a", "ls", "/") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "made" in project.exec("a", "ls", "/")
    project.run("down", "-t", "0")
    assert "is not running" in project.run("exec", "-T", "a", "true", code=1).stderr


def test_logs_options(project: Project) -> None:
    project.write(
        "services:\n  a: {image: IMAGE, command: \"sh -c 'for i in 1 2 3 4; do echo line $$i; done; printf open'\"}\n"
    )
    project.run("up", "-d", "--wait")
    assert project.run("logs", "--tail", "1", "--no-log-prefix").stdout == "line 4\nopen\n"
    text = project.run("logs", "--no-log-prefix").stdout
    assert text == "line 1\nline 2\nline 3\nline 4\nopen\n"
    stamped = project.run("logs", "-t", "--no-log-prefix").stdout.splitlines()[0]
    assert stamped.split()[0].endswith("Z")
    assert project.run("logs", "--since", "2099-01-01T00:00:00Z").stdout == ""
    assert project.run("logs", "-f", "--no-log-prefix").stdout == text
    project.run("down")


@pytest.mark.covers("services.*", "profiles")
def test_profiles(project: Project) -> None:
    project.write(
        "services:\n  a: {image: IMAGE, command: sleep 100, init: true}\n"
        "  b: {image: IMAGE, command: sleep 100, init: true, profiles: [debug]}\n"
    )
    project.run("up", "-d")
    assert list(project.ps()) == ["project-a-1"]
    project.run("--profile", "debug", "up", "-d")
    assert sorted(project.ps()) == ["project-a-1", "project-b-1"]
    project.run("--profile", "debug", "down", "-t", "0")


def test_a_command_from_a_folder_with_a_module_of_ours_does_not_load_it(project: Project) -> None:
    (project.folder / "runtime.py").write_text("raise SystemExit('loaded from the working directory')")
    (project.folder / "composer").mkdir()
    (project.folder / "composer/__init__.py").write_text("raise SystemExit('loaded')")
    project.write("services: {a: {image: IMAGE, command: 'true'}}\n")
    project.run("up", "-d")
    project.run("down")
    assert os.path.exists(project.folder / "compose.yaml")
