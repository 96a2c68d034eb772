"""What `up` tells of dependencies and of services that do not get ready, and what becomes of unhealthy ones."""

import time

import pytest

from tests.project import Project

STACK = """
    services:
      bad: {image: IMAGE, command: sh -c 'echo oh no; sleep 0.2; exit 5'}
      sick:
        image: IMAGE
        init: true
        command: sh -c 'echo not well; sleep 1000'
        healthcheck: {test: "echo cannot reach it; false", interval: 0.2s, retries: 1}
      patient:
        image: IMAGE
        init: true
        command: sleep 1000
        depends_on: {bad: {condition: service_completed_successfully, required: false}}
      strict:
        image: IMAGE
        command: sleep 1000
        depends_on: {bad: {condition: service_completed_successfully}}
      careful:
        image: IMAGE
        command: sleep 1000
        depends_on: {sick: {condition: service_healthy}}
      job: {image: IMAGE, command: "true"}
"""


def test_a_failed_dependency_is_told_with_its_last_lines(project: Project) -> None:
    project.write(STACK)
    strict = project.run("up", "-d", "strict", code=1).stderr
    assert (
        "dependency failed to start: container project-bad-1 didn't complete successfully: exit 5" in strict
    )
    assert "\n  | oh no" in strict
    careful = project.run("up", "-d", "careful", code=1).stderr
    assert "container project-sick-1 is unhealthy\n  | health check: cannot reach it\n  | not well" in careful
    patient = project.run("up", "-d", "patient").stderr
    assert "warning: optional dependency failed to start: container project-bad-1" in patient
    assert project.ps()["project-patient-1"]["State"] == "running"
    sick = project.ps()["project-sick-1"]
    assert (sick["Health"], sick["HealthOutput"]) == ("unhealthy", "cannot reach it\n")
    project.run("stop", "-t", "0", "patient", "bad")
    started = project.run("start", "patient").stderr
    assert "optional dependency failed to start" in started
    assert "dependency failed" in project.run("run", "--rm", "strict", "true", code=1).stderr
    project.run("down", "-t", "0")


def test_wait_tells_what_is_not_ready_and_a_job_may_end(project: Project) -> None:
    project.write(STACK)
    project.run("up", "--wait", "job")
    failed = project.run("up", "--wait", "job", "bad", "sick", code=1).stderr
    rows = [line.split(maxsplit=2) for line in failed.splitlines() if line.startswith("  project-")]
    found = {name: (state, why) for name, state, why in rows}
    assert "project-job-1" not in found
    assert found.get("project-bad-1", ("exited", "exited (5)")) == ("exited", "exited (5)")
    assert "project-sick-1" in found or "project-bad-1" in found
    project.run("down", "-t", "0")


def test_an_unhealthy_program_is_restarted_on_request(project: Project) -> None:
    project.write(
        """
        services:
          web:
            image: IMAGE
            x-on-unhealthy: restart
            command: sh -c 'echo begun; touch /fine; trap "exit 0" TERM; sleep 0.6; rm /fine; while :; do sleep 0.1; done'
            healthcheck: {test: "test -e /fine", interval: 0.2s, retries: 1}
        """
    )
    project.run("up", "-d")
    deadline = time.monotonic() + 15
    while project.run("logs", "web").stdout.count("begun") < 3 and time.monotonic() < deadline:
        time.sleep(0.3)
    assert project.run("logs", "web").stdout.count("begun") >= 3
    assert project.ps()["project-web-1"]["Restarts"] >= 2
    project.run("down", "-t", "0")


@pytest.mark.covers("services.*.deploy.restart_policy", "window")
def test_retries_are_counted_and_shown_after_the_end(project: Project) -> None:
    project.write(
        """
        services:
          web: {image: IMAGE, command: sh -c 'exit 3', restart: "on-failure:2"}
        """
    )
    project.run("up", "-d")
    project.run("wait", "web", code=3)
    ended = project.ps()["project-web-1"]
    assert (ended["Restarts"], ended["ExitCode"], ended["State"]) == (2, 3, "exited")
    project.run("down")


def test_a_time_limit_for_waiting(project: Project) -> None:
    project.write(
        """
        services:
          slow: {image: IMAGE, command: sleep 1000, init: true, healthcheck: {test: ["CMD", "false"], interval: 60s}}
          quick: {image: IMAGE, command: sleep 1000, init: true}
        """
    )
    answer = project.run("up", "--wait", "--wait-timeout", "1", code=1)
    assert "service slow was not ready in time" in answer.stderr and "Traceback" not in answer.stderr
    assert project.ps()["project-quick-1"]["State"] == "running"
    project.run("down", "-t", "0")
