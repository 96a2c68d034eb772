"""`run` and `attach`: programs with the user's own streams."""

import signal
import subprocess
import time

import pytest

from tests.project import Project
from tests.terminal import Terminal


@pytest.fixture
def app(project: Project) -> Project:
    project.write(
        """
        services:
          db: {image: IMAGE, command: sleep 1000, init: true}
          web:
            image: IMAGE
            command: sleep 1000
            init: true
            depends_on: [db]
            ports: ["PORT0:80"]
            restart: always
            environment: {A: file, B: file}
            volumes: ["data:/data"]
          tool: {image: IMAGE, entrypoint: [echo, from], command: [file], profiles: [tools]}
        volumes: {data: }
        """
    )
    return project


def terminal(project: Project, *words: str) -> Terminal:
    return Terminal([*project.command, *words], project.folder, project.environ)


def test_a_command_of_ones_own(app: Project) -> None:
    answer = app.run("run", "--rm", "web", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert answer.stdout == "out\n" and "\nerr\n" in answer.stderr
    assert set(app.ps("-a")) == {"project-db-1"}, "what it depends on runs, and nothing is left of it"
    assert app.run("run", "--rm", "--no-deps", "web", "nosuch", code=127).stdout == ""
    assert app.run("run", "--rm", "web", "/etc", code=126).stdout == ""
    assert "no such service" in app.run("run", "nosuch", code=1).stderr
    # Options: what the file says and what the command line changes.
    show = "echo $A $B $C; id -u; pwd; hostname; ls /data /more; cat /sys/class/net/eth0/address"
    lines = app.run(
        "run", "--rm", "--name", "mine", "-e", "A=mine", "-e", "HOME2", "-e", "C=c d", "-u", "12:34", "-w", "/tmp",
        "-v", "./:/more:ro", "-l", "x=y", "web", "sh", "-c", show,
    ).stdout.splitlines()  # fmt: skip
    assert lines[:3] == ["mine file c d", "12", "/tmp"]
    assert "compose.yaml" in lines
    assert app.run("run", "--rm", "tool").stdout == "from file\n"
    assert app.run("run", "--rm", "tool", "there").stdout == "from there\n"
    assert app.run("run", "--rm", "--entrypoint", "echo 'a  b'", "tool").stdout == "a  b\n"
    (app.folder / "more.env").write_text("D=1\nE='x y'\n")
    (app.folder / ".env").write_text("FROM_DOTENV=yes\n")
    lines = app.run(
        "run", "--rm", "--env-from-file", "more.env", "-e", "FROM_DOTENV", "tool", "--entrypoint"
    ).stdout.splitlines()
    assert lines == ["from --entrypoint"], "options after the service belong to the command"
    show = "echo $D $E $FROM_DOTENV $UNSET"
    answer = app.run(
        "run",
        "--rm",
        "--env-from-file",
        "more.env",
        "-e",
        "FROM_DOTENV",
        "-e",
        "UNSET",
        "web",
        "sh",
        "-c",
        show,
    )
    assert answer.stdout == "1 x y yes\n"
    assert "exclude each other" in app.run("run", "-P", "-p", "80", "web", code=1).stderr
    assert "not found" in app.run("run", "--env-from-file", "nosuch", "web", code=1).stderr
    app.run("down", "-v", "-t", "0")


def test_a_one_off_container_stands_beside_its_service(app: Project) -> None:
    dry = app.run("run", "--dry-run", "-d", "web", "true").stdout
    assert "project-db-1" in dry and "project-web-run-" in dry and not app.ps("-a")
    identity = app.run(
        "run", "-d", "--use-aliases", "-p", f"{app.ports[1]}:80", "web", "sleep", "1000"
    ).stdout.strip()
    assert len(identity) == 64
    app.run("up", "-d")
    rows = app.ps("-a")
    (name,) = set(rows) - {"project-db-1", "project-web-1"}
    assert name.startswith("project-web-run-") and name not in app.run("ps").stdout
    assert rows[name]["ID"] in identity
    assert {item["PublishedPort"] for item in rows[name]["Publishers"]} == {app.ports[1]}
    assert name not in app.run("logs").stdout
    app.run("stop", "-t", "0")
    assert app.ps("-a")[name]["State"] == "running", "stop is about the services"
    assert app.exec("web", "hostname").strip() == identity[:12], "exec takes what there is"
    app.run("up", "-d")
    warning = app.run("down", "-t", "0").stderr
    assert f"still in use by {name}" in warning and set(app.ps("-a")) == {name}
    app.run("kill")
    app.run("down", "-v")
    assert not app.ps("-a"), "one that has ended is not kept"


def test_removed_by_whoever_sees_its_end(app: Project) -> None:
    app.run("run", "-d", "--rm", "--no-deps", "--name", "short", "web", "sleep", "0.5")
    wait_until_gone(app, "short")
    # A client that was killed can't remove it, so its shim has it removed.
    client = app.popen("run", "--rm", "--no-deps", "--name", "orphan", "web", "sleep", "2")
    while app.ps("-a").get("orphan", {}).get("State") != "running":
        time.sleep(0.05)
    client.kill()
    client.wait()
    wait_until_gone(app, "orphan")
    app.run("down", "-v")


def wait_until_gone(project: Project, name: str) -> None:
    deadline = time.monotonic() + 20
    while name in project.ps("-a"):
        assert time.monotonic() < deadline, f"{name} is still there"
        time.sleep(0.1)


def test_streams_pass_through_whole(app: Project) -> None:
    """Bytes of any kind and number, both ways, with a slow reader; the input's end ends the program's."""
    data = bytes(range(256)) * 8192
    words = [*app.command, "run", "--rm", "--no-deps", "-T", "web", "cat"]
    with subprocess.Popen(
        words, cwd=app.folder, env=app.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.communicate(data, timeout=60)[0] == data
    words = ["sh", "-c", f"{' '.join(app.command)} run --rm --no-deps web seq 100000 | (sleep 1; tail -n 1)"]
    slow = subprocess.run(words, cwd=app.folder, env=app.environ, capture_output=True, text=True, timeout=60)
    assert slow.stdout == "100000\n"
    quick = app.run("run", "--rm", "--no-deps", "--no-interactive", "web", "wc", "-c")
    assert quick.stdout == "0\n"
    app.run("down", "-v")


def test_signals_reach_the_program(app: Project) -> None:
    trap = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = app.popen("run", "--rm", "--no-deps", "web", "sh", "-c", trap)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "got it\n" and process.wait(20) == 9
    # The third interrupt is for those that listen to none.
    deaf = "trap '' INT; echo ready; while :; do sleep 0.1; done"
    process = app.popen("run", "--rm", "--no-deps", "web", "sh", "-c", deaf)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert process.wait(20) == 137
    app.run("down", "-v")


def test_a_terminal(app: Project) -> None:
    ask = "test -t 0 && test -t 1 && stty size; read answer; exit $answer"
    with terminal(app, "run", "--rm", "--no-deps", "web", "sh", "-c", ask) as user:
        user.expect("33 101")
        user.type("5\n")
        assert user.wait() == 5
    with terminal(app, "run", "-it", "--rm", "--no-deps", "web", "sh", "-c", "test -t 0 && exit 6") as user:
        assert user.wait() == 6
    assert "no terminal" in app.run("run", "-t", "--rm", "web", "true", code=1).stderr
    with terminal(
        app, "run", "--no-deps", "--name", "kept", "web", "sh", "-c", "echo ready; sleep 1000"
    ) as user:
        user.expect("ready")
        user.type("\x10\x11")  # ctrl-p ctrl-q
        assert user.wait() == 0
    assert app.ps("-a")["kept"]["State"] == "running"
    app.run("up", "-d", "db")
    with terminal(app, "exec", "-it", "db", "sh", "-c", "test -t 0 && exit 6") as user:
        assert user.wait() == 6
    with terminal(app, "exec", "-i=false", "db", "cat") as user:
        assert user.wait() == 0
    assert app.run("exec", "-it", "db", "echo", "plain").stdout == "plain\n"
    app.run("kill")
    app.run("down", "-v")


def test_attach(project: Project) -> None:
    project.write(
        """
        services:
          shell: {image: IMAGE, command: sh, tty: true, stdin_open: true}
          cat: {image: IMAGE, command: "sh -c 'while read x; do echo got $$x; done'", stdin_open: true}
          quiet: {image: IMAGE, command: "sh -c 'while :; do echo tick; sleep 0.1; done'", init: true}
        """
    )
    project.run("up", "-d")
    with terminal(project, "attach", "shell") as user:
        user.type("echo at the-'terminal'\n")
        user.expect("at the-terminal")
        user.type("\x10\x11")
        assert user.wait() == 0
    with terminal(project, "attach", "--detach-keys", "ctrl-x,q", "shell") as user:
        user.type("\x10echo again-'here'\n")
        user.expect("again-here")
        user.type("\x18q")
        assert user.wait() == 0
    reader = project.popen("attach", "cat", stdin=subprocess.PIPE)
    assert reader.stdin is not None and reader.stdout is not None
    reader.stdin.write("one\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "got one\n"
    reader.stdin.close()  # ends our input, not the program's: others may attach
    other = project.popen("attach", "--no-stdin", "quiet")
    assert other.stdout is not None
    assert other.stdout.readline() == "tick\n"
    project.run("kill", "-s", "KILL")
    assert reader.wait(20) == 137 and other.wait(20) == 137
    reader.stdout.close()
    other.stdout.close()
    assert "is not running" in project.run("attach", "cat", code=1).stderr
    assert "nonsense" in project.run("attach", "--detach-keys", "nonsense", "cat", code=1).stderr
    project.run("down")


def test_a_taken_name_stays_with_its_container(app: Project) -> None:
    app.run("run", "--no-deps", "--name", "mine", "web", "true")
    assert "is in use" in app.run("run", "--rm", "--no-deps", "--name", "mine", "web", "true", code=1).stderr
    assert app.ps("-a")["mine"]["State"] == "exited"
    app.run("down", "-v")
