"""deploy.update_config: changed replicas one batch after the other, watched, and what happens when one fails."""

import pytest

from tests.project import Project

STACK = """
    services:
      web:
        image: IMAGE
        init: true
        environment: {VERSION: NEW}
        command: sh -c 'echo version $$VERSION; COMMAND'
        healthcheck: {test: "test -z \\"$$SICK\\"", interval: 0.1s, retries: 2}
        deploy:
          replicas: 3
          update_config: {UPDATE}
"""


def _write(project: Project, version: str, update: str, command: str = "sleep 1000", sick: str = "") -> None:
    text = STACK.replace("NEW", f"'{version}', SICK: '{sick}'").replace("UPDATE", update)
    project.write(text.replace("COMMAND", command))


def _versions(project: Project) -> dict[str, str]:
    found = {}
    for name, item in project.ps().items():
        number = name.rpartition("-")[2]
        if item["State"] == "running":
            found[name] = project.exec_in("web", number, "sh", "-c", "echo $VERSION").strip()
    return found


@pytest.mark.covers("services.*.deploy", "update_config")
@pytest.mark.covers("services.*.deploy.update_config", "parallelism delay order")
def test_one_after_the_other_and_with_the_new_one_first(project: Project) -> None:
    _write(project, "1", "parallelism: 2, delay: 100ms, monitor: 300ms")
    project.run("up", "-d")
    _write(project, "2", "parallelism: 2, delay: 100ms, monitor: 300ms")
    planned = project.run("--dry-run", "up", "-d").stdout.splitlines()
    waits = [line for line in planned if line.startswith("wait")]
    assert waits == [
        "wait for service web to be updated  (update_config: 2 of 3 replicas)",
        "wait for service web to be updated  (update_config: 1 of 3 replicas)",
    ]
    order = [line.split("  ")[0] for line in project.run("up", "-d").stderr.splitlines() if "Stopping" in line
             or "Ready" in line]  # fmt: skip
    assert order == [
        " Container project-web-1", " Container project-web-2", " Service web", " Container project-web-3", " Service web"
    ]  # fmt: skip
    assert _versions(project) == {f"project-web-{number}": "2" for number in (1, 2, 3)}
    _write(project, "3", "order: start-first")
    project.run("up", "-d", "-t", "0")
    assert _versions(project) == {f"project-web-{number}": "3" for number in (4, 5, 6)}
    project.run("down", "-t", "0")


@pytest.mark.covers("services.*.deploy.update_config", "failure_action monitor max_failure_ratio")
def test_a_failure_pauses_continues_or_is_rolled_back(project: Project) -> None:
    _write(project, "1", "monitor: 1s")
    project.run("up", "-d")
    _write(project, "2", "monitor: 1s", command="echo broken; sleep 0.2; exit 7")
    paused = project.run("up", "-d", "-t", "0", code=1).stderr
    assert "the update failed: container project-web-1 exited (7)" in paused and "| broken" in paused
    assert _versions(project) == {"project-web-2": "1", "project-web-3": "1"}
    _write(project, "1", "monitor: 1s")
    project.run("up", "-d", "-t", "0")
    assert len(_versions(project)) == 3
    for order in ("stop-first", "start-first"):
        _write(project, "2", f"monitor: 1s, failure_action: rollback, order: {order}", sick="yes")
        failed = project.run("up", "-d", "-t", "0", code=1).stderr
        assert "warning: the update of web failed and is rolled back" in failed and "is unhealthy" in failed
        assert _versions(project) == {f"project-web-{number}": "1" for number in (1, 2, 3)}
    _write(project, "3", "failure_action: rollback, max_failure_ratio: 0.5", command="sleep 1000")
    project.run("up", "-d", "-t", "0")
    _write(project, "4", "monitor: 300ms, failure_action: continue", command="exit 7")
    project.run("up", "-d", "-t", "0")
    assert _versions(project) == {}
    project.run("down", "-t", "0")


@pytest.mark.covers("services.*.deploy", "rollback_config")
@pytest.mark.covers(
    "services.*.deploy.rollback_config", "parallelism delay order monitor failure_action max_failure_ratio"
)
def test_how_an_update_is_rolled_back(project: Project) -> None:
    _write(project, "1", "monitor: 300ms")
    project.run("up", "-d")
    update = "monitor: 500ms, parallelism: 3, failure_action: rollback"
    rollback = "parallelism: 2, monitor: 300ms, delay: 100ms, max_failure_ratio: 0.5, failure_action: pause"
    _write(
        project, "2", f"{update}}}\n          rollback_config: {{{rollback}, order: stop-first", sick="yes"
    )
    failed = project.run("up", "-d", "-t", "0", code=1).stderr
    told = failed.partition("rolled back")[2].splitlines()
    order = [
        line.split("  ")[0].rpartition("-")[2].strip()
        for line in told
        if "Started" in line or "Ready" in line
    ]
    assert [sorted(order[:2]), *order[2:]] == [["1", "2"], "Service web", "3", "Service web"], failed
    assert _versions(project) == {f"project-web-{number}": "1" for number in (1, 2, 3)}
    assert "has no effect" not in failed
    _write(project, "1", "monitor: 300ms}\n          rollback_config: {order: start-first")
    assert (
        "rollback_config is for `update_config: {failure_action: rollback}` only"
        in project.run("up", "-d").stderr
    )
    project.run("down", "-t", "0")


def test_side_by_side_must_be_possible(project: Project) -> None:
    text = """
        services:
          web:
            image: IMAGE
            init: true
            command: sleep 1000
            environment: {VERSION: 1}
            ports: ["PORT0:80"]
            deploy: {update_config: {order: start-first}}
    """
    project.write(text)
    project.run("up", "-d")
    project.write(text.replace("VERSION: 1", "VERSION: 2"))
    assert "fixed host port" in project.run("up", "-d", code=1).stderr
    project.run("down", "-t", "0")
