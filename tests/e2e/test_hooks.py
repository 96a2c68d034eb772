"""Hooks: post_start and pre_stop in the container, pre_start in containers of its own."""

import pytest

from tests.project import Project

HOOKS = """
    services:
      web:
        image: IMAGE
        command: sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done'
        environment: {WHO: service}
        stop_grace_period: 2s
        volumes: [./log:/log]
        post_start:
          - command: sh -c 'sleep 0.2; echo first $$WHO $$(id -u) $$PWD >> /log/said'
            environment: {WHO: hook}
            user: worker
            working_dir: /tmp
          - command: [sh, -c, "echo second >> /log/said; echo in the open; exit CODE"]
        pre_stop:
          - {command: "sh -c 'echo third >> /log/said'", privileged: true}
          - command: sh -c 'echo fourth >> /log/said; exit STOPCODE'
"""


def _write(project: Project, code: int = 0, stop_code: int = 0) -> None:
    (project.folder / "log").mkdir(exist_ok=True)
    (project.folder / "log/said").touch()
    (project.folder / "log/said").chmod(0o666)
    project.write(HOOKS.replace("STOPCODE", str(stop_code)).replace("CODE", str(code)))


def _said(project: Project) -> str:
    path = project.folder / "log/said"
    text = path.read_text()
    path.write_text("")
    return " ".join(text.split())


@pytest.mark.covers("services.*", "post_start pre_stop")
@pytest.mark.covers("services.*.post_start[]", "command environment privileged user working_dir")
@pytest.mark.covers("services.*.pre_stop[]", "command environment privileged user working_dir")
def test_hooks_run_in_order_around_every_start_and_stop(project: Project) -> None:
    _write(project)
    planned = project.run("--dry-run", "up", "-d").stdout
    assert "run hook in container project-web-1  (post_start[1]: sh -c 'echo second" in planned
    started, stopped = "first hook 1000 /tmp second", "third fourth"
    up = project.run("up", "-d").stderr
    assert "project-web-1: in the open" in up
    assert _said(project) == started
    project.run("restart")
    assert _said(project) == f"{stopped} {started}"
    project.run("up", "-d", "--force-recreate")
    assert _said(project) == f"{stopped} {started}"
    # From elsewhere, without the file: the container itself knows its hooks.
    project.run("-p", "project", "stop")
    assert _said(project) == stopped
    project.run("start")
    project.run("kill")
    _said(project)
    project.run("down")
    assert _said(project) == "", "a container that has ended by itself has no pre_stop"
    project.run("run", "--rm", "web", "true")
    assert _said(project) == ""
    project.run("down")


def test_a_hook_that_fails_fails_the_command(project: Project) -> None:
    _write(project, code=3)
    up = project.run("up", "-d", code=1)
    assert "project-web-1: post_start[1] hook exited with status 3\n  | in the open" in up.stderr
    assert project.ps()["project-web-1"]["State"] == "running"
    project.run("down")
    _write(project, stop_code=4)
    project.run("up", "-d")
    assert "pre_stop[1] hook exited with status 4" in project.run("stop", code=1).stderr
    assert project.ps()["project-web-1"]["State"] == "running"
    project.run("kill")
    project.run("down")


STEPS = """
    services:
      db: {image: IMAGE, command: sleep 1000, init: true}
      web:
        image: IMAGE
        command: sleep 1000
        init: true
        depends_on: [db]
        environment: {WHO: web}
        volumes: [data:/data, /own]
        deploy: {replicas: 2}
        pre_start:
          - command: sh -c 'ping -c 1 -W 2 db >/dev/null && echo once $$WHO $$MORE >> /data/said; touch /own/seen'
            environment: {MORE: hook}
          - {command: [sh, -c, "echo each >> /data/said; echo trouble; exit CODE"], per_replica: true, user: root}
    volumes: {data: {}}
"""


@pytest.mark.covers("services.*", "pre_start")
@pytest.mark.covers(
    "services.*.pre_start[]", "command environment privileged user working_dir image per_replica"
)
def test_steps_before_the_start(project: Project) -> None:
    project.write(STEPS.replace("CODE", "3"))
    up = project.run("up", "-d", code=1).stderr
    assert "pre_start failed: container project-web-" in up
    assert "-pre_start-1 didn't complete successfully: exit 3\n  | trouble" in up
    states = {name: item["State"] for name, item in project.ps().items()}
    assert states["project-web-1"] == states["project-web-2"] == "created"
    assert any(name.endswith("pre_start-1") and state == "exited" for name, state in states.items())
    project.write(STEPS.replace("CODE", "0"))
    project.run("up", "-d")
    assert set(project.ps()) == {"project-db-1", "project-web-1", "project-web-2"}
    said = project.exec("web", "cat", "/data/said").splitlines()
    assert sorted(said[-3:]) == ["each", "each", "once web hook"] and said[-3] == "once web hook"
    assert project.exec("web", "ls", "/own").split() == ["seen"]
    project.run("restart", "-t", "0")
    project.run("up", "-d")
    project.run("up", "-d", "--scale", "web=3")
    after = project.exec("web", "cat", "/data/said").splitlines()
    assert after[len(said) :] == ["each"], (
        "what has succeeded is run only for the new replica, and per replica"
    )
    project.run("down", "-t", "0", "-v")
