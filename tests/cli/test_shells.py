"""Completion in three shells, and the man page."""

import os
import shutil
import subprocess

import pytest

from composer.cli import man_generate
from tests.project import Project


def test_man_page_is_current() -> None:
    with open(man_generate.PATH, encoding="utf-8") as file:
        assert file.read() == man_generate.render(), "run: python -m composer.cli.man_generate"


def _completed(project: Project, line: str) -> list[str]:
    words = line.split(" ")
    environ = {
        **project.environ,
        "_PYCOMPOSE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    answer = subprocess.run(project.command, cwd=project.folder, env=environ, capture_output=True, text=True)
    assert answer.stderr == ""
    return answer.stdout.split()


def test_completion(project: Project) -> None:
    project.write(
        "services: {web: {image: IMAGE}, worker: {image: IMAGE, profiles: [x]}, db: {image: IMAGE}}"
    )
    assert _completed(project, "pycompose logs w") == ["web", "worker"]
    assert _completed(project, "pycompose -f compose.yaml exec d") == ["db"]
    assert {"watch", "wait"} <= set(_completed(project, "pycompose wa"))
    assert "--no-log-prefix" in _completed(project, "pycompose logs --no")
    project.write("services: {web: [broken")
    assert _completed(project, "pycompose logs w") == []
    assert "is not one of bash, zsh, fish" in project.run("completion", "csh", code=1).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_valid(project: Project, shell: str) -> None:
    script = project.run("completion", shell).stdout
    assert "_PYCOMPOSE_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    check = [shell, "-n", "/dev/stdin"] if shell != "fish" else [shell, "--no-execute", "/dev/stdin"]
    subprocess.run(check, input=script, text=True, check=True, env=dict(os.environ))
