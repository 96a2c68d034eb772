"""`up` in the foreground: whose logs are shown, and what ends it."""

import termios
import time

import pytest

from tests.project import Project
from tests.terminal import Terminal

JOBS = """
    services:
      db: {image: IMAGE, command: sleep 1000, init: true}
      ok: {image: IMAGE, command: "sh -c 'sleep 0.3; echo fine'", depends_on: [db]}
      bad: {image: IMAGE, command: "sh -c 'sleep 0.8; echo oops; exit 3'", depends_on: [db]}
"""


def states(project: Project) -> dict[str, tuple[str, int]]:
    return {
        name.removeprefix("project-"): (item["State"], item["ExitCode"])
        for name, item in project.ps("-a").items()
    }


def test_one_end_ends_all(project: Project) -> None:
    project.write(JOBS)
    answer = project.run("up", "--abort-on-container-exit", "-t", "1")
    assert "ok-1 exited with code 0" in answer.stdout and "Aborting on container exit" in answer.stderr
    assert {state for state, _ in states(project).values()} == {"exited"}
    answer = project.run("up", "--abort-on-container-failure", code=3)
    assert "| fine" in answer.stdout
    assert states(project)["bad-1"] == ("exited", 3) and states(project)["db-1"][0] == "exited"
    # The first end stops the others; theirs is the code that counts.
    answer = project.run("up", "--exit-code-from", "db", "-t", "1", code=143)
    assert "db-1 exited with code 143" in answer.stdout
    answer = project.run("up", "--exit-code-from", "bad", "--no-attach", "bad", "bad", code=3)
    assert "oops" not in answer.stdout
    project.run("down", "-t", "0")


@pytest.mark.covers("services.*", "attach")
def test_whose_logs_are_shown(project: Project) -> None:
    project.write(
        """
        services:
          db: {image: IMAGE, command: echo from db}
          web: {image: IMAGE, command: echo from web, depends_on: [db]}
          mute: {image: IMAGE, command: echo from mute, attach: false}
        """
    )

    def shown(*words: str) -> set[str]:
        lines = project.run("up", *words).stdout.splitlines()
        return {line.rpartition(" ")[2] for line in lines if "from" in line}

    assert shown() == {"db", "web"}
    assert shown("web") == {"web"}
    assert shown("--attach-dependencies", "web") == {"db", "web"}
    assert shown("--attach", "mute") == {"mute"}
    assert shown("--no-attach", "db") == {"web"}
    for words, problem in (
        (
            ("--attach", "db", "--attach-dependencies"),
            "--attach and --attach-dependencies exclude each other",
        ),
        (("-d", "--abort-on-container-exit"), "--detach and --abort-on-container-exit exclude each other"),
        (("--wait", "--attach", "db"), "--wait and --attach exclude each other"),
        (("--exit-code-from", "nosuch"), "no such service: nosuch"),
        (("--always-recreate-deps", "--no-recreate"), "--always-recreate-deps and --no-recreate"),
    ):
        assert problem in project.run("up", *words, code=1).stderr
    project.run("down")


def test_recreated_dependencies_are_explained(project: Project) -> None:
    project.write(JOBS)
    project.run("up", "-d")
    before = {name: item["ID"] for name, item in project.ps().items()}
    answer = project.run("up", "-d", "-y", "--explain", "--always-recreate-deps", "ok")
    assert "create container project-db-1  (--always-recreate-deps)" in answer.stderr
    after = {name: item["ID"] for name, item in project.ps().items()}
    assert before["project-db-1"] != after["project-db-1"] and before["project-ok-1"] == after["project-ok-1"]
    project.run("down", "-t", "0")


def test_menu(project: Project) -> None:
    (project.folder / "src").mkdir(parents=True)
    project.write(
        """
        services:
          web:
            image: IMAGE
            command: sh -c 'echo ready; sleep 1000'
            init: true
            network_mode: none
            develop: {watch: [{path: src, action: sync, target: /app}]}
          job: {image: IMAGE, command: "true", network_mode: none}
        """
    )
    plain = {**project.environ, "TERM": "xterm", "NO_COLOR": "1"}
    words = [*project.command, "up"]
    with Terminal(words, project.folder, plain, controlling=True) as terminal:
        before = termios.tcgetattr(terminal.slave)
        terminal.expect("ready")
        terminal.expect("w Enable Watch   d Detach")
        assert not termios.tcgetattr(terminal.slave)[3] & (termios.ICANON | termios.ECHO)
        terminal.type("w")
        terminal.expect("Watch enabled")
        terminal.expect("w Disable Watch   d Detach")
        (project.folder / "src/file").write_text("new")
        terminal.expect("Syncing service 'web'")
        deadline = time.monotonic() + 10
        while project.run("exec", "-T", "web", "test", "-s", "/app/file", code=None).returncode:
            assert time.monotonic() < deadline
        terminal.type("w")
        terminal.expect("Watch disabled")
        terminal.expect("w Enable Watch   d Detach")
        # The line is cut where the window ends, and drawn again when that moves.
        termios.tcsetwinsize(terminal.slave, (20, 18))
        terminal.expect("w Enable Watch")
        time.sleep(0.3)
        assert "Detach" not in terminal.shown
        termios.tcsetwinsize(terminal.slave, (20, 80))
        terminal.expect("d Detach")
        # Ctrl-Z does nothing here, where no shell is; with one the job stops meanwhile.
        terminal.type("\x1a")
        terminal.expect("d Detach")
        terminal.type("d")
        assert terminal.wait() == 0
        assert termios.tcgetattr(terminal.slave) == before
    with Terminal(words, project.folder, plain, controlling=True) as terminal:
        terminal.expect("d Detach")
        terminal.type("\x03")
        terminal.expect("Gracefully stopping")
        assert terminal.wait() == 130
        assert termios.tcgetattr(terminal.slave) == before
    with Terminal([*words, "--menu=false", "job"], project.folder, plain, controlling=True) as terminal:
        assert terminal.wait() == 0 and "Detach" not in terminal.shown
    project.run("down", "-t", "0")
