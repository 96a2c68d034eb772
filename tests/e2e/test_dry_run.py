"""`--dry-run`: each command that changes something takes it, says what it would do, and touches nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from composer.cli.app import app
from runtime import Paths
from tests.leaks import Snapshot
from tests.project import Project

FILE = """
name: dry
services:
  web:
    image: base
    command: sleep 1000
    stop_grace_period: 0s
    volumes: ["data:/data", "/anonymous"]
    develop: {watch: [{action: sync, path: ., target: /app}]}
  made: {image: localhost:1/made, build: ., profiles: [later]}
volumes: {data: {}}
"""

# All that only looks. Whoever adds a command puts it here, or gives it --dry-run and an example below.
LOOKING = """
    completion, container inspect, container logs, container ls, events, image history, image inspect, image ls,
    images, inspect, logs, ls, network inspect, network ls, plan, port, ps, stats, system df, system info, top, version,
    volume inspect, volume ls, volumes
"""

# Command lines without the option -> a part of what they say.
EXAMPLES = {
    "attach web": "attach to container dry-web-1",
    "build made": "build image localhost:1/made",
    "commit web new": "commit container dry-web-1 as image new",
    "config -o out": "write out",
    "container attach dry-web-1": "attach to container dry-web-1",
    "container exec dry-web-1 touch /x": "run touch /x in container dry-web-1",
    "container kill dry-web-1": "kill container dry-web-1",
    "container rm -f dry-web-1": "remove container dry-web-1",
    "container run --name other base true": "create container other",
    "container start ended": "start container ended",
    "container stop dry-web-1": "stop container dry-web-1",
    "cp compose.yaml web:/": "copy compose.yaml to dry-web-1:/",
    "create --force-recreate": "create container dry-web-1",
    "down -v": "remove volume dry_data",
    "exec web touch /x": "run touch /x in container dry-web-1",
    "export -o out web": "export dry-web-1 to out",
    "graph -o out": "write out",
    "image bootstrap debian:bookworm-slim": "make image debian:bookworm-slim",
    "image export -o out base": " to out",
    "image import out new": "import out as image new",
    "image load -i out": "load the images of out",
    "image prune -a": "deleted: sha256:",
    "image pull nowhere/at/all": "pull image nowhere/at/all",
    "image push base": "push image base",
    "image rm spare": "untagged: spare:latest",
    "image save -o out base": " to out",
    "image tag base new": " as new",
    "kill": "kill container dry-web-1",
    "login -u me localhost:1": "log in to localhost:1",
    "logout localhost:1": "forget the password for localhost:1",
    "network connect free dry-web-1": "connect container dry-web-1 to network free",
    "network create new": "create network new",
    "network disconnect dry_default dry-web-1": "disconnect container dry-web-1 from network dry_default",
    "network prune": "remove network free",
    "network rm free": "remove network free",
    "pause": "pause container dry-web-1",
    "publish --with-env -y localhost:1/a": "publish compose.yaml",
    "pull --ignore-buildable": "pull image base",
    "push made": "push image localhost:1/made",
    "restart": "start container dry-web-1",
    "rm -fs": "remove container dry-web-1",
    "run web true": "create container dry-web-run-",
    "scale web=2": "create container dry-web-2",
    "start": "nothing to do",
    "stop": "stop container dry-web-1",
    "system prune -a --volumes": "remove container ended",
    "systemd install": "Description=",
    "systemd remove --directory .": "remove ./pycompose-dry.service",
    "systemd resume": "nothing to do",
    "systemd suspend": "stop container dry-web-1",
    "unpause": "nothing to do",
    "up --force-recreate": "create container dry-web-1",
    "volume create new": "create volume new",
    "volume export -o out spare": "export volume spare to out",
    "volume import spare out": "import out into volume spare",
    "volume prune -a": "remove volume spare",
    "volume rm spare": "remove volume spare",
    "wait web": "wait for dry-web-1",
    "watch": "sync",
}


def _commands(group: Any, *before: str) -> Iterator[tuple[str, bool]]:
    """Each command, and whether it takes the option."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, *before, name)
        else:
            yield " ".join((*before, name)), any("--dry-run" in item.opts for item in command.params)


def test_what_does_not_only_look_takes_it_and_is_tried_below() -> None:
    able = {name for name, takes_it in _commands(typer.main.get_command(app)) if takes_it}
    others = {name for name, takes_it in _commands(typer.main.get_command(app)) if not takes_it}
    assert others == set(" ".join(LOOKING.split()).split(", "))
    tried = {name for name in able if any(f"{words} ".startswith(f"{name} ") for words in EXAMPLES)}
    assert able == tried


def _state(folder: Path, paths: Paths) -> list[object]:
    """All that a command could have changed; the cache of loaded projects may."""
    found: list[object] = sorted(Snapshot.take(paths))
    for root in (Path(paths.data), Path(paths.state), folder):
        for path in sorted(root.rglob("*")):
            below = path.relative_to(root)
            if below.parts[0] != "cache" and "pycompose.db" not in path.name and "merged" not in below.parts:
                status = path.lstat()
                found.append((str(path), status.st_ino, status.st_mtime_ns, status.st_size))
    database = sqlite3.connect(paths.database)
    found += database.iterdump()
    database.close()
    return found


def test_nothing_is_touched(
    project: Project, busybox_tar: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write(FILE)
    project.write("FROM base\n", "Dockerfile")
    project.write("[Unit]\n", "pycompose-dry.service")
    project.run("image", "import", str(busybox_tar), "base")
    project.run("image", "import", "-c", "USER worker", str(busybox_tar), "spare")
    project.run("up", "-d")
    project.run("container", "run", "--name", "ended", "base", "true")
    project.run("network", "create", "free")
    project.run("volume", "create", "spare")
    for name, value in project.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.folder)
    before = _state(project.folder, project.paths)
    for words, said in EXAMPLES.items():
        group, *rest = words.split()
        deep = 1 if group in ("container", "image", "network", "system", "systemd", "volume") else 0
        app([group, *rest[:deep], "--dry-run", *rest[deep:]], prog_name="pycompose", standalone_mode=False)
        heard = capfd.readouterr()
        assert said in heard.out, (words, heard)
        now = _state(project.folder, project.paths)
        assert now == before, (words, set(map(str, now)) ^ set(map(str, before)))
    # In front of the command it means the same, also with the commands that are parsed without typer.
    assert (
        "run touch /x in container dry-web-1" in project.run("--dry-run", "exec", "web", "touch", "/x").stdout
    )
    assert (
        "run touch /x in container dry-web-1" in project.run("exec", "--dry-run", "web", "touch", "/x").stdout
    )
    assert _state(project.folder, project.paths) == before

    # What cannot be done is told as it would be without it.
    for words in ("volume rm dry_data", "network rm dry_default", "image rm nowhere", "network create free"):
        assert "error" in project.run("--dry-run", *words.split(), code=1).stderr
    project.run("down", "-v")
    for words in ("container rm -v ended", "network prune -f", "volume rm spare"):
        project.run(*words.split())
