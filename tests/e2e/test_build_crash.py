"""Builds that are interrupted or killed: what is left, and who takes it away."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.leaks import Snapshot
from tests.project import Project


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_does_not_end_by_itself(project: Project, busybox_tar: Path, number: int) -> None:
    project.run("image", "import", str(busybox_tar), "box")
    (project.folder / "Dockerfile").write_text("FROM box\nRUN echo done >/done\nRUN echo here; sleep 300\n")
    project.write("services: {a: {build: .}}\n")
    running = project.popen("build", "--progress", "plain", process_group=0)
    assert running.stderr is not None
    for line in running.stderr:
        if line.endswith(" here\n"):
            break
    if number == signal.SIGINT:
        os.killpg(running.pid, number)  # as a terminal does
    else:
        running.kill()
    running.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while _sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sleepers()
    # The next command that changes a project takes away what was left.
    project.run("down")
    assert [line for line in Snapshot.take(project.paths) if not line.startswith("mount")] == []
    # What the first step gave is kept if there was time.
    (project.folder / "Dockerfile").write_text("FROM box\nRUN echo done >/done\nRUN true\n")
    project.run("build")
    assert "project-a" in project.run("image", "ls").stdout


def _sleepers() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\x00300\x00":
                found.append(int(entry.name))
        except OSError:
            continue
    return found
