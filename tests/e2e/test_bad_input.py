"""Each mistake ends in one readable message with its place and a hint, and nothing is created."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.project import Project

CASES = {
    "syntax": ("services:\n  a:\n    image: [IMAGE\n", "compose.yaml:"),
    "unknown key": (
        "services:\n  a:\n    image: IMAGE\n    comand: x\n",
        "compose.yaml:4:5: services.a.comand",
    ),
    "wrong type": ("services:\n  a:\n    image: IMAGE\n    ports: 80\n", "compose.yaml:4:"),
    "undefined network": ("services:\n  a:\n    image: IMAGE\n    networks: [nope]\n", "nope"),
    "undefined volume": ("services:\n  a:\n    image: IMAGE\n    volumes: ['nope:/x']\n", "nope"),
    "undefined dependency": ("services:\n  a:\n    image: IMAGE\n    depends_on: [nope]\n", "nope"),
    "cycle": (
        "services:\n  a: {image: IMAGE, depends_on: [b]}\n  b: {image: IMAGE, depends_on: [a]}\n",
        "a -> b -> a|b -> a -> b",
    ),
    "no image": ("services:\n  a: {image: nosuch, pull_policy: never}\n", "there is no image nosuch"),
    "no rootfs": ("services:\n  a: {image: 'rootfs:/no/such'}\n", "/no/such"),
    "missing bind": (
        "services:\n  a:\n    image: IMAGE\n    command: sleep 1\n    volumes: [{type: bind, source: ./nope, target: /x}]\n",
        "bind source path does not exist",
    ),
    "command not found": (
        "services:\n  b: {image: IMAGE, command: sleep 1}\n  a: {image: IMAGE, command: nosuch}\n",
        "cannot run 'nosuch': command not found in image",
    ),
    "program not found": ("services:\n  a: {image: IMAGE, entrypoint: /bin/nosuch}\n", "'/bin/nosuch'"),
    "bad signal": ("services:\n  a: {image: IMAGE, command: sleep 1, stop_signal: SIGNOPE}\n", "SIGNOPE"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_file(project: Project, case: str) -> None:
    text, expected = CASES[case]
    project.write(text)
    errors = project.run("up", "-d", code=1).stderr
    assert any(part in errors for part in expected.split("|")), errors
    assert project.run("-p", "project", "-f", "/dev/null", "ps", "-a", "-q", code=1).stdout == ""
    database = Path(project.paths.data) / "pycompose.db"
    if database.exists():
        import sqlite3

        assert sqlite3.connect(database).execute("SELECT count(*) FROM containers").fetchone() == (0,)
        assert sqlite3.connect(database).execute("SELECT count(*) FROM networks").fetchone() == (0,)


def test_no_file(project: Project) -> None:
    assert "no configuration file" in project.run("up", code=1).stderr
    assert "/no/such.yaml" in project.run("-f", "/no/such.yaml", "ps", code=1).stderr


def test_unknown_service_and_option(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1}}\n")
    for command in ("up", "down", "ps", "logs", "start", "stop", "restart", "kill"):
        assert "no such service: nope" in project.run(command, "nope", code=1).stderr, command
    assert "--nope" in project.run("up", "--nope", code=1).stderr


def test_not_root(project: Project) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        Path(folder, "compose.yaml").write_text("services: {a: {image: 'rootfs:/', command: sleep 1}}\n")

        def as_nobody(*command: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                command,
                user=65534,
                group=65534,
                extra_groups=[],
                cwd=folder,
                env={**project.environ, "PYCOMPOSE_ROOT": f"{folder}/data"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        try:
            reachable = as_nobody(project.command[0], "-c", "import composer, yaml").returncode == 0
        except PermissionError:
            reachable = False
        if not reachable:
            pytest.skip("this Python or this folder is closed to user nobody")
        answer = as_nobody(*project.command, "up", "-d")
        assert answer.returncode == 1
        assert "Permission denied" in answer.stderr or "root" in answer.stderr
        assert "Traceback" not in answer.stderr
