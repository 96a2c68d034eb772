"""`watch` and `up --watch`: sync, restart, exec and rebuild after changes, through inotify."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from composer.cli import up_watch
from composer.cli.context import Context, GlobalOptions
from composer.plan.desired import Desired
from tests.project import Project


def _until(condition: Callable[[], bool], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _begin(project: Project, *words: str, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("w") as out:
        process = subprocess.Popen(
            [*project.command, *words],
            cwd=project.folder,
            env=project.environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    _until(lambda: "Watch enabled" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    return process


def _there(project: Project, path: str, content: str | None) -> Callable[[], bool]:
    def check() -> bool:
        answer = subprocess.run(
            [*project.command, "exec", "-T", "web", "cat", path],
            cwd=project.folder,
            env=project.environ,
            capture_output=True,
        )
        return answer.returncode != 0 if content is None else answer.stdout.decode() == content

    return check


@pytest.mark.covers("services.*", "develop")
@pytest.mark.covers("services.*.develop", "watch")
@pytest.mark.covers("services.*.develop.watch[]", "path action target ignore include initial_sync exec")
@pytest.mark.covers("services.*.develop.watch[].exec", "command environment privileged user working_dir")
def test_watch(project: Project, tmp_path: Path) -> None:
    source, log = project.folder / "src", tmp_path / "log"
    (source / "old").mkdir(parents=True)
    (source / "old/first").write_text("first")
    (project.folder / "conf").write_text("1")
    (project.folder / "hook").write_text("1")
    project.write(
        """
        services:
          web:
            image: IMAGE
            command: sleep 1000
            init: true
            network_mode: none
            develop:
              watch:
                - {path: src, action: sync, target: /app, initial_sync: true, ignore: [skipped/]}
                - {path: conf, action: sync+restart, target: /etc/conf}
                - {path: hook, action: sync+exec, target: /etc/hook, exec: {command: cp /etc/hook /etc/seen}}
        """
    )
    assert "web: sync+restart" in project.run("watch", "--dry-run").stdout
    watching = _begin(project, "watch", log=log)
    assert project.exec("web", "cat", "/app/old/first") == "first"
    # New folders with what is made in them at once, renames, removals, many files, what is ignored.
    (source / "new/deep").mkdir(parents=True)
    (source / "new/deep/file").write_text("deep")
    (source / "skipped").mkdir()
    (source / "skipped/file").write_text("no")
    os.rename(source / "old", source / "renamed")
    for number in range(200):
        (source / f"many{number}").write_text(str(number))
    _until(_there(project, "/app/many199", "199"))
    _until(_there(project, "/app/new/deep/file", "deep"))
    assert _there(project, "/app/renamed/first", "first")() and _there(project, "/app/old/first", None)()
    assert _there(project, "/app/skipped/file", None)()
    (source / "renamed/first").write_text("changed")
    (source / "many1").unlink()
    _until(_there(project, "/app/renamed/first", "changed"))
    _until(_there(project, "/app/many1", None))
    # A file that is replaced as editors do, and a restart after it.
    started = project.ps()["project-web-1"]["Status"]
    time.sleep(1.1)
    (project.folder / "conf.new").write_text("2")
    os.rename(project.folder / "conf.new", project.folder / "conf")
    _until(_there(project, "/etc/conf", "2"))
    _until(lambda: "Restarting service(s)" in log.read_text())
    assert started
    _until(lambda: project.ps()["project-web-1"]["State"] == "running")
    (project.folder / "hook").write_text("2")
    _until(_there(project, "/etc/seen", "2"))
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    project.write("services: {web: {image: IMAGE, command: sleep 1000}}")
    assert "none of the selected services" in project.run("watch", code=1).stderr
    project.run("down", "-t", "0")


def test_one_failure_stops_nothing_else(project: Project, tmp_path: Path) -> None:
    source, log = project.folder / "src", tmp_path / "log"
    source.mkdir()
    project.write(
        """
        services:
          bad:
            image: IMAGE
            command: sh -c 'mkdir -p /app/b/full/of; sleep 1000'
            init: true
            network_mode: none
            develop: {watch: [{path: src, action: sync, target: /app}]}
          web:
            image: IMAGE
            command: sleep 1000
            init: true
            network_mode: none
            develop: {watch: [{path: src, action: sync, target: /app}]}
        """
    )
    watching = _begin(project, "watch", log=log)
    _until(lambda: project.run("exec", "-T", "bad", "ls", "/app/b/full", code=None).returncode == 0)
    for name in "abc":  # b is a file over a directory
        (source / name).write_text(name)
    _until(_there(project, "/app/c", "c"))
    assert project.exec("bad", "cat", "/app/a", "/app/c") == "ac"
    assert log.read_text().count("error:") == 1, log.read_text()
    # What failed is tried again with the next change.
    project.run("exec", "-T", "bad", "rm", "-r", "/app/b")
    (source / "d").write_text("d")
    _until(_there(project, "/app/d", "d"))
    assert project.exec("bad", "cat", "/app/b", "/app/d") == "bd"
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    project.run("down", "-t", "0")


def test_child_tells_every_failure(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __init__(self, *_: object) -> None:
            raise RuntimeError(f"connection of the parent: {context.engine.database._open}")

    monkeypatch.setattr(up_watch, "Watcher", Broken)
    options = GlobalOptions(root=project.paths.data, state=project.paths.state)
    with Context(options) as context:
        context.engine.containers.list("project")
        desired = Desired("project", str(project.folder), (), ())
        for piped in (False, True):
            child = up_watch.WatchChild(context, desired, [], piped=piped)
            select.select(child.descriptors[:1], [], [])
            text = child.take()
            assert not child.alive
            child.stop()  # a child that has ended is not signalled, nor is whoever has its pid now
            text += capfd.readouterr().err
            assert "RuntimeError: connection of the parent: None" in text
        assert not context.engine.containers.list("project")


def test_rebuild(project: Project, tmp_path: Path, busybox_tar: Path) -> None:
    log = tmp_path / "log"
    project.run("image", "import", str(busybox_tar), "base:1")
    (project.folder / "Dockerfile").write_text(
        'FROM base:1\nCOPY version /version\nCMD ["sh", "-c", "echo this is $(cat /version); sleep 1000"]\n'
    )
    (project.folder / "version").write_text("1")
    (project.folder / ".dockerignore").write_text("*.md\n")
    project.write(
        """
        services:
          web:
            build: .
            init: true
            network_mode: none
            develop: {watch: [{path: ., action: rebuild}]}
        """
    )
    watching = _begin(project, "up", "--watch", log=log)
    first = project.ps()["project-web-1"]["ID"]
    (project.folder / "notes.md").write_text("ignored")
    time.sleep(1)
    assert "Rebuilding" not in log.read_text()
    (project.folder / "version").write_text("2")
    _until(lambda: "successfully built" in log.read_text(), 40)
    assert project.exec("web", "cat", "/version") == "2"
    assert project.ps()["project-web-1"]["ID"] != first
    _until(lambda: "web-1  | this is 2" in log.read_text())
    # All containers have ended, and one comes back.
    project.run("stop", "-t", "0")
    assert watching.poll() is None
    (project.folder / "version").write_text("3")
    _until(lambda: "web-1  | this is 3" in log.read_text(), 40)
    (project.folder / "Dockerfile").write_text("FROM base:1\nRUN false\n")
    _until(lambda: "error" in log.read_text(), 40)
    assert project.exec("web", "cat", "/version") == "3"
    watching.send_signal(signal.SIGINT)
    assert watching.wait(30) == 130
    project.run("down", "-t", "0", "--rmi", "local")
