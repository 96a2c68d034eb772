"""Commands for those who have no other tool: `container`, `volume`, `inspect`, `system`."""

import io
import json
import signal
import subprocess
import sys
import tarfile
import time

from composer.version import VERSION
from tests.project import Project
from tests.terminal import Terminal


def _inspect(project: Project, *names: str) -> dict:
    (found,) = json.loads(project.run("inspect", *names).stdout)
    return dict(found)


def test_container_run(project: Project) -> None:
    image, run = project.image, ("container", "run", "--rm")
    assert project.run(*run, image, "echo", "hi").stdout == "hi\n"
    assert (
        project.run(
            *run, "-e", "A=1", "-u", "1000", "-w", "/tmp", image, "sh", "-c", "echo $A $(id -u) $PWD"
        ).stdout
        == "1 1000 /tmp\n"
    )
    assert project.run(*run, image, "sh", "-c", "exit 7", code=7)
    assert "not found" in project.run(*run, image, "/nope", code=127).stderr
    assert project.run(*run, "--network", "none", "-h", "box", image, "hostname").stdout == "box\n"
    assert project.run(*run, "--read-only", image, "touch", "/x", code=1)
    assert (
        "CapEff:\t0000000000000000"
        in project.run(*run, "--cap-drop", "ALL", image, "cat", "/proc/self/status").stdout
    )
    (project.folder / "env").write_text("FROM_FILE=yes\n")
    (project.folder / "f").write_text("bound\n")
    words = ("--env-file", "env", "-v", "./f:/f:ro", "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m")
    told = project.run(
        *run, *words, image, "sh", "-c", "echo $FROM_FILE; cat /f; grep -c ' /t tmpfs' /proc/mounts"
    ).stdout
    assert told == "yes\nbound\n1\n"
    answer = subprocess.run(
        [*project.command, *run, "-i", image, "cat"],
        env=project.environ,
        cwd=project.folder,
        input=b"through",
        capture_output=True,
    )
    assert answer.stdout == b"through"
    with Terminal([*project.command, *run, "-it", image, "sh"], project.folder, project.environ) as terminal:
        terminal.expect("# ")
        terminal.type("tty; exit 5\n")
        assert terminal.wait() == 5
    assert (
        "create container x  (new)"
        in project.run("container", "run", "--name", "x", "--dry-run", image).stdout
    )
    for words, complaint in (
        (("--restart", "sometimes"), "is not a policy"),
        (("--memory", "much"), "--memory"),
        (("--mount", "type=bind"), "a target"),
        (("--network", "host", "--network", "none"), "excludes"),
    ):
        assert complaint in project.run("container", "run", *words, image, code=1).stderr
    assert project.run("container", "ls", "-aq").stdout == ""
    project.run("network", "rm", "bridge")


def test_container_commands(project: Project) -> None:
    project.run("volume", "create", "vol")
    options = (
        "-d",
        "--name",
        "one",
        "-v",
        "vol:/data",
        "-p",
        f"127.0.0.1:{project.ports[0]}:80",
        "--memory",
        "64m",
        "-l",
        "a=b",
        "--init",
    )
    identifier = project.run(
        "container", "run", *options, project.image, "sh", "-c", "echo begun; sleep 1000"
    ).stdout.strip()
    (line,) = project.run("container", "ls", "--format", "json").stdout.splitlines()
    assert json.loads(line)["Names"] == "one" and json.loads(line)["ID"] == identifier[:12]
    assert project.run("container", "ls", "-q").stdout.strip() == identifier[:12]

    found = _inspect(project, "one")
    assert found["Id"] == identifier and found["Name"] == "/one"
    assert found["State"]["Status"] == "running" and found["State"]["Pid"] > 0
    assert found["HostConfig"]["Memory"] == 64 << 20 and found["Config"]["Labels"] == {"a": "b"}
    assert found["Mounts"][0]["Name"] == "vol" and found["Mounts"][0]["Destination"] == "/data"
    assert found["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": str(project.ports[0])}
    ]
    assert found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert _inspect(project, "vol")["Name"] == "vol" and _inspect(project, "bridge")["Driver"] == "bridge"
    assert "no such object: nope" in project.run("inspect", "nope", code=1).stderr
    ports = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    for words, text in (
        (
            ("inspect", "-f", "{{.State.Status}} {{.NetworkSettings.IPAddress | len | lt 6}}", "one"),
            "running true",
        ),
        (("container", "inspect", "-f", ports, "one"), str(project.ports[0])),
        (
            ("inspect", "-f", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}", "one"),
            "bridge",
        ),
        (("volume", "inspect", "-f", "{{.Driver}} {{.Labels}}", "vol"), "local map[]"),
        (("network", "inspect", "--format", "{{range .Containers}}{{.Name}}{{end}}", "bridge"), "one"),
        (("container", "ls", "--format", r'table {{.Names}}\t{{.Label "a"}}'), "NAMES     a\none       b"),
        (("volume", "ls", "--format", "{{upper .Name}}"), "VOL"),
        (("network", "ls", "--format", "{{if eq .Name `bridge`}}found{{end}}"), "found"),
        (("system", "df", "--format", "{{if eq .Type `Containers`}}{{.TotalCount}}{{end}}"), "\n1\n\n"),
        (("system", "info", "-f", "{{.Containers}}"), "1"),
        (("version", "-f", "{{.version}}"), VERSION),
    ):
        assert project.run(*words).stdout == f"{text}\n", words
    wrong = project.run("inspect", "-f", "{{.State.status}}", "one", code=1).stderr
    assert "--format: character 9: there is no field status; there is Status" in wrong

    assert project.run("container", "exec", "one", "echo", "x").stdout == "x\n"
    assert project.run("container", "logs", identifier[:12]).stdout == "begun\n"
    assert "is in use by one" in project.run("volume", "rm", "vol", code=1).stderr
    assert "is running" in project.run("container", "rm", "one", code=1).stderr
    assert "stop container one" in project.run("container", "stop", "--dry-run", "one").stdout
    assert project.run("container", "stop", "-t", "0", "one").stdout == "one\n"
    assert _inspect(project, "one")["State"]["Status"] == "exited"
    project.run("container", "start", "one")
    project.run("container", "kill", "one")
    rows = [json.loads(line) for line in project.run("system", "df", "--format", "json").stdout.splitlines()]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert rows[1]["TotalCount"] == "1" and rows[2]["Active"] == "1"
    information = json.loads(project.run("system", "info", "--format", "json").stdout)
    assert information["Containers"] == 1 and information["DockerRootDir"] == project.paths.data
    assert "no such container: nope" in project.run("container", "rm", "nope", "one", code=1).stderr
    assert project.run("container", "ls", "-aq").stdout == ""
    project.run("volume", "rm", "vol")
    project.run("container", "run", "-d", "--name", "two", project.image, "true")
    time.sleep(0.5)
    assert "bridge" in project.run("system", "prune", "-f", "--volumes").stdout
    assert project.run("container", "ls", "-aq").stdout == ""


def test_inspect_tells_no_secret(project: Project) -> None:
    project.environ["TOKEN"] = "hush-hush"
    project.write(
        """
        services: {a: {image: IMAGE, command: sleep 1000, init: true, network_mode: none, secrets: [token],
          healthcheck: {test: "printf %05000d 0; test -e /tmp/well", interval: 100ms, retries: 1}}}
        secrets: {token: {environment: TOKEN}}
        """
    )
    project.run("up", "-d")
    text = project.run("inspect", "project-a-1").stdout
    assert "/run/secrets/token" in text and "hush-hush" not in text
    project.exec("a", "touch", "/tmp/well")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        health = _inspect(project, "project-a-1")["State"]["Health"]
        if health["Status"] == "healthy" and len(health["Log"]) == 5:
            break
    results = health["Log"]
    assert len(results) == 5
    assert [result["ExitCode"] for result in results[-2:]] in ([1, 0], [0, 0])
    assert results == sorted(results, key=lambda result: result["Start"])
    assert all(result["Start"] < result["End"] and result["Output"] == "0" * 4096 for result in results)
    project.run("down", "-t", "0")


def _tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid = len(content), 1000
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_volumes(project: Project) -> None:
    def pipe(*words: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*project.command, *words], env=project.environ, input=data, capture_output=True
        )

    assert pipe("volume", "import", "v", data=_tar(f=b"content")).returncode == 0
    out = pipe("volume", "export", "v").stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert [(member.name, member.uid) for member in archive] == [("f", 1000)]
    assert b"is not empty" in pipe("volume", "import", "v", data=out).stderr
    assert pipe("volume", "import", "w", data=b"no tar").returncode == 1
    assert project.run("volume", "create", "--label", "a=b", "named").stdout == "named\n"
    anonymous = project.run("volume", "create", "--label", "c=d").stdout.strip()
    assert project.run("volume", "ls", "-q", "-f", "label=c=d").stdout.strip() == anonymous
    assert project.run("volume", "ls", "-q", "-f", "label=a=b").stdout == "named\n"
    assert json.loads(project.run("volume", "inspect", "named").stdout)[0]["Labels"] == {"a": "b"}
    assert anonymous in project.run("volume", "prune", "-f").stdout
    assert set(project.run("volume", "ls", "-q").stdout.split()) == {"named", "v"}

    # What is mounted over a volume's folder is not in it: no backup that has nothing in it.
    (project.folder / "bound").mkdir()
    options = {"type": "none", "o": "bind", "device": str(project.folder / "bound")}
    project.write(f"""
        name: p
        services: {{a: {{image: IMAGE, command: sleep 9, network_mode: none, volumes: ["bound:/b"]}}}}
        volumes: {{bound: {{driver_opts: {json.dumps(options)}}}}}
    """)
    project.run("create")
    assert "is mounted from somewhere else: type=none" in (
        project.run("volume", "export", "-o", "backup.tar", "p_bound", code=1).stderr
    )
    assert not (project.folder / "backup.tar").exists()
    assert json.loads(project.run("volume", "inspect", "p_bound").stdout)[0]["Options"] == options
    assert _inspect(project, "p_bound")["Options"] == options
    project.run("down", "-v")

    # Killed in the middle: nothing of it is in the volume, and the next import goes on as if it had not been.
    importing = subprocess.Popen(
        [*project.command, "volume", "import", "w"],
        env=project.environ,
        stdin=subprocess.PIPE,
        stderr=sys.stderr,
    )
    assert importing.stdin is not None
    importing.stdin.write(_tar(first=b"x" * 100_000, second=b"y" * 1_000_000)[:500_000])
    importing.stdin.flush()
    time.sleep(0.7)
    importing.send_signal(signal.SIGKILL)
    importing.wait()
    importing.stdin.close()
    assert pipe("volume", "export", "w").stdout == pipe("volume", "export", "named").stdout

    # A container that is started meanwhile keeps what it writes.
    importing = subprocess.Popen(
        [*project.command, "volume", "import", "x"],
        env=project.environ,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert importing.stdin is not None
    importing.stdin.write(_tar(first=b"x" * 100_000)[:70_000])
    importing.stdin.flush()
    time.sleep(0.7)
    mount = ("--init", "--network", "none", "--mount", "type=volume,src=x,dst=/x,volume-nocopy")
    project.run("container", "run", "-d", "--name", "user", *mount, project.image, "sleep", "1000")
    project.run("container", "exec", "user", "touch", "/x/mine")
    _, complaint = importing.communicate(_tar(first=b"x" * 100_000)[70_000:], timeout=20)
    assert importing.returncode == 1 and b"volume x is in use by user" in complaint
    assert project.run("container", "exec", "user", "ls", "/x").stdout == "mine\n"
    project.run("container", "rm", "-f", "user")

    assert pipe("volume", "import", "w", data=_tar(f=b"content")).returncode == 0
    project.run("volume", "prune", "-af")
    assert project.run("volume", "ls", "-q").stdout == ""
