"""What comes back after a boot. The machine's end is played by killing every shim and emptying the STATE directory."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from runtime.shim.state import read_live_state
from tests.project import Project

STACK = """
    services:
      db: {image: IMAGE, init: true, command: sleep 1000, restart: always}
      web:
        image: IMAGE
        init: true
        command: sleep 1000
        restart: unless-stopped
        depends_on: {job: {condition: service_completed_successfully}, db: {condition: service_started}}
      stopped: {image: IMAGE, init: true, command: sleep 1000, restart: unless-stopped}
      plain: {image: IMAGE, init: true, command: sleep 1000}
      failing: {image: IMAGE, init: true, command: sleep 1000, restart: on-failure}
      job: {image: IMAGE, command: "true", restart: on-failure}
"""


def _lose_power(project: Project) -> None:
    live = Path(project.paths.state) / "containers"
    states = [read_live_state(str(folder)) for folder in live.iterdir()]
    shims = [state.shim_pid for state in states if state is not None]
    for pid in shims:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in shims) and time.monotonic() < deadline:
        time.sleep(0.05)
    for folder in live.iterdir():
        shutil.rmtree(folder)
    # A boot has another id than the one `exit` was written in.
    for path in Path(project.paths.data).glob("containers/*/exit"):
        path.write_text(path.read_text().replace('"boot_id": "', '"boot_id": "before-'))
        path.write_text(path.read_text().replace('"boot_id":"', '"boot_id":"before-'))


def test_what_ran_comes_back_and_what_was_finished_stays_finished(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d")
    project.run("stop", "-t", "0", "stopped")
    project.run("systemd", "resume")
    assert project.ps()["project-stopped-1"]["State"] == "exited", "nothing comes back without a boot"
    _lose_power(project)
    lost = {name: item["ExitCode"] for name, item in project.ps().items()}
    assert lost["project-db-1"] == lost["project-plain-1"] == 255 and lost["project-job-1"] == 0
    resumed = project.run("systemd", "resume").stderr
    assert resumed.index("db-1  Started") < resumed.index("web-1  Starting")
    states = {name.split("-")[1]: item["State"] for name, item in project.ps().items()}
    assert states == {
        "db": "running", "web": "running", "failing": "running", "stopped": "exited", "plain": "exited", "job": "exited"
    }  # fmt: skip
    project.run("systemd", "suspend")
    assert project.ps()["project-web-1"]["State"] == "exited"
    project.run("systemd", "resume")  # as `systemctl restart` does it
    assert project.ps()["project-web-1"]["State"] == "running"
    project.run("systemd", "suspend")
    _lose_power(project)
    project.run("systemd", "resume")
    assert project.ps()["project-web-1"]["State"] == "running"
    project.run("down", "-t", "0")


def test_the_unit_is_written_and_removed(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d", "db")
    units = project.folder / "units with a blank"
    units.mkdir()
    project.run("systemd", "install", "--directory", str(units))
    path = units / "pycompose-project.service"
    text = path.read_text()
    assert f"--root {project.paths.data} --state {project.paths.state} -p project systemd resume" in text
    assert text in project.run("systemd", "install", "--print").stdout + "\n"
    if shutil.which("systemd-analyze"):
        verdict = subprocess.run(
            ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=30, check=False
        )
        assert "pycompose-project" not in verdict.stderr, verdict.stderr
    # The command of the unit works from anywhere, without the file.
    command = next(line for line in text.splitlines() if line.startswith("ExecStart=")).partition("=")[2]
    subprocess.run(command, shell=True, cwd="/", env=project.environ, check=True, timeout=30)
    project.run("systemd", "remove", "--directory", str(units))
    assert not path.exists()
    assert (
        "nothing was installed" in project.run("systemd", "remove", "--directory", str(units), code=1).stderr
    )
    project.run("down", "-t", "0")


def test_a_unit_outlives_its_project(project: Project) -> None:
    project.write(STACK)
    project.run("up", "-d", "db")
    project.run("systemd", "install", "--directory", str(project.folder))
    project.run("down", "-v", "-t", "0")
    (project.folder / "compose.yaml").unlink()
    for verb in ("resume", "suspend"):
        project.run("-p", "project", "systemd", verb)  # there is nothing to do
    project.run("-p", "project", "systemd", "remove", "--directory", str(project.folder))
    assert not list(project.folder.glob("*.service"))
