"""Secrets and configs: files on a tmpfs of the container, with the asked owner and mode, and nowhere else."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.project import Project

SLEEP = "command: sleep 1000, init: true"


def write(project: Project, more: str = "") -> None:
    (project.folder / "password").write_text("from a file\n")
    project.write(
        f"""
        services:
          web:
            image: IMAGE
            command: sleep 1000
            init: true
            user: worker
            read_only: true
            {more}
            secrets:
              - password
              - {{source: token, target: api/token, uid: "1000", gid: "1001", mode: 0400}}
              - {{source: token, target: /etc/token}}
            configs:
              - {{source: settings, target: /etc/app/settings.ini, mode: 0440, gid: "1001"}}
              - plain
        secrets:
          password: {{file: ./password}}
          token: {{environment: TOKEN}}
        configs:
          settings: {{content: "name = ${{NAME}}\\n"}}
          plain: {{environment: PLAIN}}
        """
    )
    project.environ |= {"TOKEN": "s3cr3t-t0ken", "PLAIN": "plain text", "NAME": "shop"}


@pytest.mark.covers("", "secrets configs")
@pytest.mark.covers("services.*", "secrets configs")
@pytest.mark.covers("services.*.secrets[]", "source target uid gid mode")
@pytest.mark.covers("services.*.configs[]", "source target uid gid mode")
@pytest.mark.covers("secrets.*", "environment file")
@pytest.mark.covers("configs.*", "environment file content")
def test_contents_owners_and_modes(project: Project) -> None:
    write(project)
    assert "warning" not in project.run("up", "-d").stderr
    read = {
        "/run/secrets/password": "from a file\n",
        "/run/secrets/api/token": "s3cr3t-t0ken",
        "/etc/token": "s3cr3t-t0ken",
        "/etc/app/settings.ini": "name = shop\n",
        "/plain": "plain text",
    }
    for path, content in read.items():
        assert project.exec("web", "cat", path) == content, path
    status = "%u:%g %a"
    assert project.exec("web", "stat", "-c", status, "/run/secrets/api/token") == "1000:1001 400\n"
    assert project.exec("web", "stat", "-c", status, "/etc/app/settings.ini") == "0:1001 440\n"
    assert project.exec("web", "stat", "-c", status, "/run/secrets/password") == "0:0 444\n"
    assert project.exec("web", "stat", "-f", "-c", "%T", "/plain") == "tmpfs\n"
    assert (
        "Read-only"
        in project.run("exec", "-T", "-u", "root", "web", "sh", "-c", "echo x >> /plain", code=1).stderr
    )
    # They are there again after a restart, whatever the environment is then.
    project.environ["TOKEN"] = "another"
    project.run("-p", "project", "restart", "-t", "0")
    assert project.exec("web", "cat", "/etc/token") == "s3cr3t-t0ken"
    project.run("down", "-t", "0")


def test_they_are_nowhere_else(project: Project) -> None:
    write(project)
    project.run("up", "-d")
    shown = project.run("ps", "--format", "json").stdout + project.run("plan", "--format", "json").stdout
    shown += subprocess.run(["ps", "axwwe"], capture_output=True, text=True, check=True).stdout
    assert "from a file" not in shown
    open_to_all = []
    for folder, _, names in os.walk(project.paths.data):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and b"s3cr3t-t0ken" in path.read_bytes():
                parents = [parent for parent in path.parents if str(parent).startswith(project.paths.data)]
                closed = path.stat().st_mode & 0o077 == 0 or any(
                    p.stat().st_mode & 0o077 == 0 for p in parents
                )
                open_to_all += [] if closed else [path]
    assert open_to_all == []
    (container,) = Path(project.paths.data, "containers").iterdir()
    assert not list((container / "layer/root/upper").rglob("token")) or all(
        path.stat().st_size == 0 for path in (container / "layer/root/upper").rglob("token")
    )
    project.run("down", "-t", "0")


def test_changed_contents_make_the_container_anew(project: Project) -> None:
    write(project)
    project.run("up", "-d")
    assert "Running" in project.run("up", "-d").stderr
    (project.folder / "password").write_text("a new one\n")
    assert "content of secrets/password changed" in project.run("plan").stdout
    project.run("up", "-d", "-t", "0")
    assert project.exec("web", "cat", "/run/secrets/password") == "a new one\n"
    project.environ["NAME"] = "store"
    assert "content of configs/settings changed" in project.run("plan").stdout
    project.run("down", "-t", "0")


def test_what_is_missing_is_told_before_anything_is_made(project: Project) -> None:
    write(project)
    (project.folder / "password").unlink()
    errors = project.run("up", "-d", code=1).stderr
    assert (
        "compose.yaml:" in errors
        and "the secret 'password' is the file" in errors
        and "is not there" in errors
    )
    assert project.ps() == {}
    project.run("down")
    (project.folder / "password").write_text("")
    del project.environ["TOKEN"]
    assert "comes from the variable TOKEN, which is not set" in project.run("up", "-d", code=1).stderr
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}, secrets: [x]}}}}\nsecrets: {{x: {{external: true}}}}\n"
    )
    assert "the secret 'x' is external" in project.run("up", "-d", code=1).stderr
    project.run("ps")


def test_a_large_one_and_one_that_would_hide_another(project: Project) -> None:
    (project.folder / "big").write_bytes(os.urandom(10_000_000))
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}, secrets: [x]}}}}\nsecrets: {{x: {{file: big}}}}\n"
    )
    project.run("up", "-d")
    assert project.exec("a", "stat", "-c", "%s", "/run/secrets/x") == "10000000\n"
    project.run("down", "-t", "0")
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}, secrets: [x, {{source: x}}], volumes: ['/run/secrets/x']}}}}\n"
        "secrets: {x: {file: big}}\n"
    )
    assert "/run/secrets/x" in project.run("up", "-d", code=1).stderr
    assert json.loads(project.run("ls", "--format", "json").stdout) == []
