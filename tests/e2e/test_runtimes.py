"""`runtime:` of a service: the stack runs on another OCI runtime, and everything around it stays the same."""

import shutil
import time
from pathlib import Path

import pytest

from tests.engines import runtime_program
from tests.project import Project

STACK = """
    services:
      db:
        image: IMAGE
        runtime: RUNTIME
        command: sh -c 'sleep 0.3; touch /ready; echo db ready; trap "exit 7" TERM; while true; do sleep 0.1; done'
        mem_limit: 64m
        pids_limit: 50
        healthcheck:
          test: ["CMD", "test", "-e", "/ready"]
          interval: 200ms
          retries: 50
      web:
        image: IMAGE
        runtime: RUNTIME
        init: true
        tty: true
        read_only: true
        user: "1000"
        cap_drop: [ALL]
        command: sh -c 'echo web on $$(tty); sleep 1000'
        volumes: ["data:/data"]
        ports: ["127.0.0.1:PORT0:80"]
        depends_on:
          db: {condition: service_healthy}
      again:
        image: IMAGE
        runtime: RUNTIME
        init: true
        restart: on-failure:2
        command: sh -c 'echo try; exit 3'
    volumes: {data: {}}
"""


@pytest.fixture(params=["crun", "runc", "pycompose-oci"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "pycompose-oci":
        if shutil.which(request.param) is None:
            pytest.skip(f"{request.param} is not installed (Debian package {request.param})")
        return str(request.param)
    return runtime_program(tmp_path)


@pytest.mark.covers("services.*", "runtime")
def test_a_stack_on_another_runtime(project: Project, runtime: str) -> None:
    project.write(STACK.replace("RUNTIME", runtime))
    project.run("up", "-d")
    containers = project.ps()
    assert containers["project-db-1"]["Health"] == "healthy"
    assert containers["project-web-1"]["State"] == "running"
    assert project.exec("web", "id", "-u") == "1000\n"
    assert project.exec("db", "ping", "-c", "1", "-W", "3", "web").count("bytes from") == 1
    project.run("exec", "-T", "db", "sh", "-c", "exit 4", code=4)
    logs = project.run("logs").stdout
    assert "db-1     | db ready" in logs
    assert "web on /dev/pts/0" in logs
    assert project.exec("web", "cat", "/proc/1/comm") == "init\n"
    deadline = time.monotonic() + 15
    while project.ps()["project-again-1"]["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert project.run("logs", "again").stdout.count("try") == 3
    assert project.ps()["project-again-1"]["ExitCode"] == 3
    project.run("stop", "db")
    assert project.ps()["project-db-1"]["ExitCode"] == 7
    project.run("start", "db")
    project.run("kill", "db")
    deadline = time.monotonic() + 5
    while project.ps()["project-db-1"]["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert project.ps()["project-db-1"]["ExitCode"] == 137
    project.run("down", "-v")
    assert project.ps() == {}


@pytest.mark.parametrize("init", ["false", "true"])
def test_what_fails_says_why(project: Project, runtime: str, init: str) -> None:
    project.write(
        f"""
        services:
          a:
            image: IMAGE
            runtime: {runtime}
            entrypoint: /bin/no-such-program
            init: INIT
        """.replace("INIT", init)
    )
    answer = project.run("up", "-d", code=1)
    assert "no-such-program" in answer.stderr
    project.run("down")


def test_a_runtime_that_is_not_there(project: Project) -> None:
    project.write("services: {a: {image: 'IMAGE', runtime: no-such-runtime, command: 'true'}}")
    assert "runtime 'no-such-runtime' is not installed" in project.run("up", "-d", code=1).stderr
    project.run("down")


def test_a_runtime_for_all_services(project: Project) -> None:
    if shutil.which("crun") is None:
        pytest.skip("crun is not installed (Debian package crun)")
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    before = project.ps()["project-a-1"]["ID"]
    dry = project.run("--runtime", "crun", "up", "--dry-run").stdout
    assert "runtime added" in dry
    assert (
        "runtime '/nosuch' is not installed" in project.run("--runtime", "/nosuch", "up", "-d", code=1).stderr
    )
    assert project.ps()["project-a-1"]["ID"] == before, "refused before anything is touched"
    project.environ["PYCOMPOSE_RUNTIME"] = "crun"
    project.run("up", "-d")
    assert project.ps()["project-a-1"]["ID"] != before
    assert project.run("up", "-d").stderr.endswith("Running\n")
    project.run("down", "-t", "0")
