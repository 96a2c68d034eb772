"""Differential: the same file and commands on the reference and here give the same fields, codes and files.

Needs a Docker engine with Compose and the image busybox, by DOCKER_HOST; skipped where there is none.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project
from tests.reference import reference_project

FILE = """
    name: differential
    services:
      a: {image: IMAGE, command: sleep 1000, init: true, network_mode: none, volumes: ["data:/data"]}
      b: {image: IMAGE, command: "true", network_mode: none}
    volumes: {data: }
"""


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[Project]:
    with reference_project(tmp_path / "reference", "busybox") as made:
        yield made


def _fields(project: Project, *words: str) -> dict[str, str]:
    document = json.loads(project.run(*words, "--format", "json").stdout.splitlines()[0])
    first: dict[str, Any] = document[0] if isinstance(document, list) else document
    return {name: type(value).__name__ for name, value in first.items()}


@pytest.fixture
def both(project: Project, reference: Project) -> tuple[Project, Project]:
    for each in (project, reference):
        each.write(FILE)
        each.run("up", "-d")
        (each.folder / "src/sub").mkdir(parents=True)
        (each.folder / "src/f").write_text("x")
        (each.folder / "src/l").symlink_to("f")
    return project, reference


def test_same_as_the_reference(both: tuple[Project, Project]) -> None:
    ours, theirs = both
    for words in (("ps", "-a"), ("images",), ("ls",), ("volumes",), ("version",), ("stats", "--no-stream")):
        missing = _fields(theirs, *words).items() - _fields(ours, *words).items()
        assert not missing, f"{words}: {missing}"
    for words in (
        ("cp", "src", "a:/tmp"),
        ("cp", "src/.", "a:/tmp/new"),
        ("cp", "src", "a:/none/x"),
        ("cp", "src/f", "a:/tmp/dir/"),
        ("cp", "src", "a:/tmp/src/f"),
        ("cp", "src/f", "a:/tmp/src"),
        ("cp", "a:/tmp/src", "out"),
        ("cp", "a:/tmp/src", "out"),
        ("cp", "a:/tmp/src/l", "link"),
        ("cp", "-L", "a:/tmp/src/l", "content"),
        ("cp", "a:/tmp", "b:/tmp"),
        ("cp", "x", "y"),
        ("export", "-o", "a.tar", "a"),
        ("exec", "-T", "b", "true"),
        ("port", "a", "80"),
        ("--progress", "loud", "ps"),
    ):
        codes = [_code(each, *words) for each in both]
        assert codes[0] == codes[1], f"{words}: {codes}"
    for template in (
        "{{.Name}} {{.Status | printf `%.2s`}} {{.Health}}/{{.ExitCode}}/{{.Networks}}/{{.Mounts}}/{{.LocalVolumes}}",
        r"table {{.Name}}\t{{.Image | len | lt 3}}\t{{upper .State}}\t{{.Label `com.docker.compose.container-number`}}\t{{.Ports}}",
        '{{.Label "com.docker.compose.service"}} {{json .Publishers}} {{.Publishers}} {{range .Publishers}}x{{end}}',
        "{{if eq .State `running`}}{{.Service | title | pad | len}}{{end}}",
        "{{with .Project}}{{.}}{{end}} {{.Nope}}",
    ):
        answers = [each.run("ps", "-a", "--format", template, code=None) for each in both]
        assert answers[0].stdout == answers[1].stdout, template
        assert answers[0].returncode == answers[1].returncode, template
    found = [
        each.exec("a", "find", "/tmp", "-exec", "stat", "-c", "%n %F %u:%g %a", "{}", ";") for each in both
    ]
    assert sorted(found[0].splitlines()) == sorted(found[1].splitlines())
    trees = [
        sorted(
            (str(path.relative_to(each.folder)), path.is_symlink(), path.is_dir())
            for path in each.folder.rglob("*")
        )
        for each in both
    ]
    assert trees[0] == trees[1]
    ours.run("down", "-v", "-t", "0")


def _code(project: Project, *words: str) -> int:
    return subprocess.run(
        [*project.command, *words],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    ).returncode
