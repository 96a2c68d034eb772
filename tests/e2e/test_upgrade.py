"""A new version is installed while containers run: their shims go on with what they have, the new version manages them."""

import shutil
import time
from pathlib import Path

from tests.project import Project

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def test_an_upgrade_while_containers_run(project: Project, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    for package in ("composer", "runtime", "schemas"):
        shutil.copytree(
            REPOSITORY / package, installed / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    new = project.environ["PYTHONPATH"]
    project.environ["PYTHONPATH"] = str(installed)
    project.write(
        """
        services:
          web:
            image: IMAGE
            command: sh -c 'while [ ! -e /end ]; do sleep 0.1; done; rm /end; echo ended; exit 1'
            init: true
            restart: on-failure
            healthcheck: {test: [CMD, test, "!", -e, /ill], interval: 200ms, retries: 1}
            ports: ["PORT0:80"]
          client: {image: IMAGE, command: sleep 1000, init: true}
        """
    )
    project.run("up", "-d", "--wait")
    project.run("run", "-d", "--rm", "--name", "once", "client", "sleep", "1000")
    project.environ["PYTHONPATH"] = new
    for path in installed.rglob("*.py"):
        path.write_text("raise SystemExit('a shim has read code anew')\n")
    project.exec("web", "touch", "/end")
    wait_until(project, "web", Restarts=1, State="running", Health="healthy")
    project.exec("web", "touch", "/ill")
    wait_until(project, "web", Health="unhealthy")
    assert "ended" in project.run("logs", "web").stdout
    assert project.exec("client", "nslookup", "web").count("Address") >= 2
    assert project.run("port", "web", "80").stdout == f"0.0.0.0:{project.ports[0]}\n"
    project.run("exec", "-d", "client", "sleep", "1000")
    project.run("pause", "client")
    project.run("unpause", "client")
    project.run("restart", "-t", "0", "client")
    project.run("kill", "-s", "KILL", "client")
    deadline = time.monotonic() + 20
    while "once" in project.ps() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert set(project.ps()) == {"project-web-1", "project-client-1"}
    project.run("down", "-t", "0")


def wait_until(project: Project, service: str, **wanted: object) -> None:
    """Until `ps` shows these values."""
    deadline = time.monotonic() + 20
    while True:
        item = project.ps()[f"project-{service}-1"]
        if all(item[key] == value for key, value in wanted.items()):
            return
        assert time.monotonic() < deadline, item
        time.sleep(0.1)
