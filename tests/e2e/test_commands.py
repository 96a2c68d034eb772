"""Commands about a project's containers: pause, rm, create, scale, wait, top, ls, volumes, plan."""

import json
import time

from tests.project import Project

TWO = """
    services:
      db: {image: IMAGE, command: sleep 1000, init: true, volumes: ["data:/data", "/anonymous"]}
      web: {image: IMAGE, command: sleep 1000, init: true, depends_on: [db]}
    volumes: {data: }
"""


def states(project: Project) -> dict[str, str]:
    return {name.removeprefix("project-"): item["State"] for name, item in project.ps().items()}


def test_pause_and_unpause(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sh -c 'while :; do echo tick; sleep 0.05; done'
            healthcheck: {test: [CMD, "true"], interval: 100ms, start_interval: 50ms, start_period: 5s}
          b: {image: IMAGE, command: sleep 1000, init: true}
        """
    )
    project.run("up", "-d", "--wait")
    assert "Container project-a-1  Paused" in project.run("pause", "a").stderr
    assert states(project) == {"a-1": "paused", "b-1": "running"}
    assert "(Paused)" in project.run("ps", "a").stdout
    before = project.run("logs", "a").stdout.count("tick")
    time.sleep(0.3)
    assert project.run("logs", "a").stdout.count("tick") == before
    assert "is paused" in project.run("exec", "-T", "a", "true", code=1).stderr
    project.run("pause", "a")  # nothing to do
    project.run("unpause")
    time.sleep(0.4)
    assert project.run("logs", "a").stdout.count("tick") > before
    assert project.ps()["project-a-1"]["Health"] == "healthy"
    # A paused container can be stopped, killed and taken down.
    project.run("pause")
    project.run("stop", "-t", "1", "b")
    assert project.ps()["project-b-1"]["ExitCode"] == 143
    project.run("kill", "a")
    assert states(project)["a-1"] == "exited"
    project.run("start")
    project.run("pause")
    project.run("down", "-t", "0")


def test_rm(project: Project) -> None:
    project.write(TWO)
    project.run("up", "-d")
    assert "No stopped containers" in project.run("rm", "-f").stderr
    project.run("stop", "-t", "0", "web")
    assert "remove container project-web-1" in project.run("rm", "--dry-run", "-f").stdout
    assert "Going to remove project-web-1" in project.run("rm").stderr  # nobody answers: no
    assert states(project)["web-1"] == "exited"
    project.run("rm", "-f")
    assert states(project) == {"db-1": "running"}
    project.run("rm", "-f", "-s", "-v", "db")
    assert project.ps() == {}
    assert project.run("volumes", "-q").stdout == "project_data\n"
    project.run("down", "-v")


def test_create_and_scale(project: Project) -> None:
    project.write(TWO)
    project.run("create")
    assert states(project) == {"db-1": "created", "web-1": "created"}
    project.run("scale", "web=3")
    assert states(project) == {"db-1": "running", "web-1": "running", "web-2": "running", "web-3": "running"}
    project.run("scale", "web=1", "-t", "0")
    assert states(project) == {"db-1": "running", "web-1": "running"}
    assert "is not SERVICE=NUMBER" in project.run("scale", "web", code=1).stderr
    project.run("down", "-v", "-t", "0")


def test_wait(project: Project) -> None:
    project.write(
        """
        services:
          job: {image: IMAGE, command: sh -c 'sleep 0.5; exit 3'}
          long: {image: IMAGE, command: sleep 1000, init: true}
        """
    )
    project.run("up", "-d")
    assert "exited with status code 3" in project.run("wait", "job", code=3).stdout
    assert "no such service: nope" in project.run("wait", "nope", code=1).stderr
    waiting = project.popen("wait", "long")
    time.sleep(0.5)
    project.run("kill", "long")
    assert "exited with status code 137" in waiting.communicate(timeout=20)[0]
    assert waiting.returncode == 137
    project.run("wait", "--down-project", "job", code=3)
    assert project.ps() == {}


def test_top(project: Project) -> None:
    project.write(TWO)
    project.run("up", "-d")
    lines = project.run("top", "db").stdout.splitlines()
    assert lines[0].split() == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert all(line.split()[:3] == ["db", "1", "root"] for line in lines[1:])
    assert any(line.endswith("sleep 1000") for line in lines[1:])
    project.run("down", "-v", "-t", "0")


def test_ls(project: Project) -> None:
    project.write(TWO)
    assert json.loads(project.run("ls", "--format", "json").stdout) == []
    project.run("up", "-d")
    project.run("stop", "-t", "0", "web")
    (found,) = json.loads(project.run("ls", "--format", "json").stdout)
    assert found == {
        "Name": "project",
        "Status": "running(1)",
        "ConfigFiles": str(project.folder / "compose.yaml"),
    }
    assert "exited(1), running(1)" in project.run("ls", "-a").stdout
    assert project.run("ls", "-q", "--filter", "name=nope").stdout == ""
    project.run("down", "-v", "-t", "0")


def test_volumes(project: Project) -> None:
    project.write(TWO)
    project.run("up", "-d")
    found = json.loads(project.run("volumes", "--format", "json", "db").stdout)
    assert found["Name"] == "project_data"
    assert project.run("volumes", "--format", "{{.Driver}} {{.Name}}").stdout == "local project_data\n"
    assert project.run("ls", "--format", "{{.Status}}").stdout == "running(2)\n"
    assert project.run(
        "ps", "--format", '{{.Service}} {{.State}} {{.Label "com.docker.compose.service"}}'
    ).stdout == ("db running db\nweb running web\n")
    assert found["Mountpoint"].endswith("/volumes/project_data/_data")
    assert project.run("volumes", "-q", "web").stdout == ""
    project.run("down", "-v", "-t", "0")


def test_plan(project: Project) -> None:
    project.write(TWO)
    planned = project.run("plan", "--detailed-exitcode", code=2).stdout
    assert "create container project-db-1  (new)" in planned
    assert project.ps() == {}
    project.run("up", "-d")
    assert project.run("plan", "--detailed-exitcode").stdout == "nothing to do\n"
    project.write(TWO.replace("init: true, depends_on", "environment: {DEBUG: '1'}, init: true, depends_on"))
    plan = json.loads(project.run("plan", "--format", "json", "--detailed-exitcode", code=2).stdout)
    causes = {action["cause"] for action in plan["actions"] if action["kind"] == "create container"}
    assert len(causes) == 1
    assert "environment.DEBUG" in causes.pop()
    assert states(project) == {"db-1": "running", "web-1": "running"}
    project.run("down", "-v", "-t", "0")


def test_stats(project: Project) -> None:
    project.write(
        """
        services:
          busy: {image: IMAGE, command: sh -c 'while :; do :; done', init: true, mem_limit: 64m, cpus: 0.5}
          idle: {image: IMAGE, command: sleep 1000, init: true, network_mode: none}
        """
    )
    project.run("up", "-d")
    lines = project.run("stats", "--no-stream", "--format", "json").stdout.splitlines()
    busy, idle = (
        next(row for row in map(json.loads, lines) if name in row["Name"]) for name in ("busy", "idle")
    )
    assert 5 < float(busy["CPUPerc"].rstrip("%")) < 90
    assert busy["MemUsage"].endswith("/ 64MiB")
    assert float(idle["CPUPerc"].rstrip("%")) < 5
    assert idle["NetIO"] == "0B / 0B" and busy["NetIO"] != "0B / 0B"
    assert int(idle["PIDs"]) == 2
    assert project.run("stats", "--no-stream", "idle").stdout.splitlines()[1].split()[1] == "project-idle-1"
    project.run("down", "-t", "0")


def test_events(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            healthcheck: {test: [CMD, "true"], start_period: 5s, start_interval: 50ms}
          b: {image: IMAGE, command: sh -c 'exit 3'}
        """
    )
    project.run("create")
    following = project.popen("events", "--json", "a")
    time.sleep(0.7)
    project.run("up", "-d", "--wait", "a")
    project.run("pause", "a")
    project.run("unpause", "a")
    project.run("stop", "-t", "5")
    time.sleep(0.3)
    following.terminate()
    told = [json.loads(line) for line in following.communicate(timeout=10)[0].splitlines()]
    assert [event["action"] for event in told] == [
        "start", "health_status: healthy", "pause", "unpause", "kill", "die", "stop",
    ]  # fmt: skip
    assert told[0]["service"] == "a"
    assert told[0]["type"] == "container"
    assert told[0]["attributes"]["name"] == "project-a-1"
    assert told[4]["attributes"]["signal"] == "15"
    project.run("up", "-d", "b")
    project.run("wait", "b", code=3)
    project.run("down", "-t", "0")
    project.environ["COMPOSE_PROJECT_NAME"] = "project"
    lines = project.run("events", "--since", "10m", "--until", "0s", "b").stdout.splitlines()
    assert [line.split()[3] for line in lines] == ["create", "start", "die", "destroy"]
    assert "(exitCode=3, image=rootfs:" in lines[2]
