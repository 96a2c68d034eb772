"""The verbs and the states they lead to, exit codes and outputs, as runc and crun give them."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.oci_cli.runtime import OURS, Bundle, Runtime, wait

pytestmark = pytest.mark.root


def test_create_start_state_kill_delete(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["annotations"] = {"org.example": "yes"}
    bundle.shell("trap 'exit 5' TERM; echo started; while :; do sleep 0.1; done").write()
    name, pid_file = oci.name(), tmp_path / "pid"
    with open(tmp_path / "out", "w") as out:
        oci.call(
            "create",
            "-b",
            str(bundle.path),
            "--pid-file",
            str(pid_file),
            name,
            stdout=out,
            capture_output=False,
        )
    state = oci.state(name)
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    assert state["bundle"] == str(bundle.path)
    assert state["annotations"] == {"org.example": "yes"}
    assert state["ociVersion"].startswith("1.")
    assert (tmp_path / "out").read_text() == ""

    refused = oci.call("create", "-b", str(bundle.path), name, check=False)
    assert refused.returncode == 1
    assert "already exists" in refused.stderr

    oci.call("start", name)
    assert oci.state(name)["status"] == "running"
    wait(lambda: (tmp_path / "out").read_text() == "started\n")
    assert oci.call("start", name, check=False).returncode == 1
    refused = oci.call("delete", name, check=False)
    assert refused.returncode == 1
    assert "running" in refused.stderr

    oci.call("kill", name, "0")
    oci.call("kill", name, "TERM")
    oci.wait_for(name, "stopped")
    assert oci.state(name)["pid"] == 0
    assert oci.call("kill", name, "KILL", check=False).returncode == 1
    oci.call("delete", name)
    missing = oci.call("state", name, check=False)
    assert missing.returncode == 1
    assert "does not exist" in missing.stderr


def test_a_created_container_can_be_deleted_and_killed(oci: Runtime, bundle: Bundle) -> None:
    for words in (["delete"], ["kill"]):
        name = oci.name()
        oci.call("create", "-b", str(bundle.write()), name, stdout=subprocess.DEVNULL, capture_output=False)
        oci.call(*words, name, *(["KILL"] if words == ["kill"] else []))
        if words == ["kill"]:
            oci.wait_for(name, "stopped")
            oci.call("delete", name)


def test_run_gives_output_and_exit_code_and_leaves_nothing(oci: Runtime, bundle: Bundle) -> None:
    done = oci.run(bundle.shell("echo out; echo err >&2; exit 7"), name="pctest-run")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
    done = oci.run(bundle.shell("kill -9 $$"))
    assert done.returncode == 128 + 9
    assert oci.call("list", "-q").stdout == ""


def test_run_keep(oci: Runtime, bundle: Bundle) -> None:
    done = oci.run(bundle.shell("exit 0"), "--keep", name="pctest-keep")
    assert done.returncode == 0
    assert oci.state("pctest-keep")["status"] == "stopped"


def test_run_forwards_signals(oci: Runtime, bundle: Bundle) -> None:
    path = bundle.shell("trap 'echo got; exit 3' USR1; echo up; while :; do sleep 0.05; done").write()
    process = subprocess.Popen(
        [*oci.command, "run", "-b", str(path), oci.name()], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=20)[0] == "got\n"
    assert process.returncode == 3


def test_list_and_ps(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("sleep 100 & sleep 100"))
    (listed,) = json.loads(oci.call("list", "-f", "json").stdout)
    assert (listed["id"], listed["status"]) == (name, "running")
    assert oci.call("list", "-q").stdout == f"{name}\n"
    assert oci.call("list").stdout.split("\n")[0].split() == [
        "ID",
        "PID",
        "STATUS",
        "BUNDLE",
        "CREATED",
        "OWNER",
    ]
    wait(lambda: len(json.loads(oci.call("ps", "--format", "json", name).stdout)) >= 2)
    pids = json.loads(oci.call("ps", "--format", "json", name).stdout)
    assert listed["pid"] in pids
    assert "sleep 100" in oci.call("ps", name).stdout


def test_pause_and_resume(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("while :; do sleep 0.05; done"))
    oci.call("pause", name)
    assert oci.state(name)["status"] == "paused"
    assert oci.call("exec", name, "true", check=False).returncode == 255
    oci.call("resume", name)
    assert oci.state(name)["status"] == "running"
    assert oci.call("resume", name, check=False).returncode == 1
    oci.call("pause", name)
    oci.call("kill", name, "KILL")  # reaches a frozen container too
    oci.wait_for(name, "stopped")


def test_kill_all_and_delete_by_expression(oci: Runtime, bundle: Bundle) -> None:
    # Without a pid namespace of its own, what the first process has started outlives it.
    bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "pid"]
    names = [oci.detached(bundle.shell("sleep 100 & sleep 100"), name=f"pctest-many-{n}") for n in (1, 2)]
    wait(lambda: len(json.loads(oci.call("ps", "-f", "json", names[0]).stdout)) == 2)
    oci.call("kill", "--all", names[0], "KILL")
    oci.wait_for(names[0], "stopped")
    assert json.loads(oci.call("ps", "-f", "json", names[0]).stdout) == []
    oci.call("delete", "--force", "--regex", "pctest-many-.*")
    assert oci.call("list", "-q").stdout == ""
    oci.call("delete", "--force", "never-was")


def test_update(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    if not os.path.isdir("/sys/fs/cgroup/pids"):
        pytest.skip("reads files of cgroup v1")
    name = oci.detached(bundle.shell("sleep 100"))

    def value(controller: str, file: str) -> str:
        return Path(f"/sys/fs/cgroup/{controller}/{name}/{file}").read_text().strip()

    oci.call("update", "--pids-limit", "33", "--memory", "33554432", "--cpu-quota", "20000", name)
    assert value("pids", "pids.max") == "33"
    assert value("memory", "memory.limit_in_bytes") == "33554432"
    resources = {"memory": {"limit": 67108864, "swap": 0}, "cpu": {"quota": 0, "shares": 512}, "pids": None}
    oci.call("update", "--resources", "-", name, input=json.dumps(resources), stdin=None)
    assert value("memory", "memory.limit_in_bytes") == "67108864"
    assert value("cpu", "cpu.shares") == "512"
    assert value("cpu", "cpu.cfs_quota_us") == "20000"
    assert value("pids", "pids.max") == "33"
    refused = oci.call("update", "--l3-cache-schema", "L3:0=f", name, check=False)
    assert "RDT" in refused.stderr


def test_events(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("sleep 100"))
    once = json.loads(oci.call("events", "--stats", name).stdout)
    assert (once["type"], once["id"]) == ("stats", name)
    assert once["data"]["pids"]["current"] >= 1
    assert once["data"]["memory"]["usage"]["usage"] > 0
    used = once["data"]["cpu"]["usage"]
    assert used["total"] > 0
    if "cpuset" in once["data"]:  # cgroup v1
        assert once["data"]["cpuset"]["cpus"] == sorted(os.sched_getaffinity(0))
        assert len(used["percpu"]) == len(used["percpu_kernel"]) == len(used["percpu_user"])
    words = [*oci.command, "events", "--interval", "100ms", name]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        for _ in range(3):
            assert json.loads(events.stdout.readline())["id"] == name
        oci.call("kill", name, "KILL")
        events.communicate(timeout=20)
    assert events.returncode == 0


def test_spec_and_features(oci: Runtime, tmp_path: Path) -> None:
    oci.call("spec", cwd=tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    assert oci.call("spec", cwd=tmp_path, check=False).returncode == 1
    oci.call("spec", "--rootless", "-f", "other.json", cwd=tmp_path)
    assert json.loads((tmp_path / "other.json").read_text())["linux"]["uidMappings"]
    features = json.loads(oci.call("features").stdout)
    assert set(features["hooks"]) == {
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    }
    assert {"user", "time", "cgroup"} <= set(features["linux"]["namespaces"])
    assert {"rro", "tmpcopyup", "ridmap"} <= set(features["mountOptions"])
    assert "SCMP_ACT_NOTIFY" in features["linux"]["seccomp"]["actions"]


def test_output_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        refused = subprocess.run([*OURS, "--version"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 1
    assert "No space left on device" in refused.stderr


def test_version_and_help(oci: Runtime) -> None:
    import tomllib

    from tests.oci_cli.runtime import REPOSITORY

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert oci.call("--version").stdout.splitlines()[0] == f"pycompose-oci version {project['version']}"
    assert "exec" in oci.call("--help").stdout
    assert "--process" in oci.call("exec", "--help").stdout
    assert oci.call("frobnicate", check=False).returncode == 1


@pytest.mark.parametrize("style", ["json", "text"])
def test_errors_are_logged_for_engines(oci: Runtime, bundle: Bundle, tmp_path: Path, style: str) -> None:
    log = tmp_path / "log"
    bundle.process["args"] = ["no-such-program"]
    done = oci.call(
        "--log", str(log), "--log-format", style, "create", "-b", str(bundle.write()), oci.name(), check=False
    )
    assert done.returncode == 1
    if style == "json":
        (line,) = map(json.loads, log.read_text().splitlines())
        assert line["level"] == "error"
        assert "executable file not found" in line["msg"]
        assert line["time"].endswith("Z")
    else:
        assert 'level=error msg="' in log.read_text()


def test_console_socket(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process.update(terminal=True, consoleSize={"height": 11, "width": 44})
    path = str(tmp_path / "console.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        received: list[int] = []

        def accept() -> None:
            connection, _ = server.accept()
            received.extend(socket.recv_fds(connection, 4096, 1)[1])
            connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        bundle.shell("tty; stty size; read line; echo got $line").write()
        name = oci.name()
        oci.call(
            "create",
            "-b",
            str(bundle.path),
            "--console-socket",
            path,
            name,
            stdout=subprocess.DEVNULL,
            capture_output=False,
        )
        thread.join(10)
    (master,) = received
    oci.call("start", name)
    os.write(master, b"hello\n")
    text = b""
    deadline = time.monotonic() + 10
    while b"got hello" not in text and time.monotonic() < deadline:
        try:
            text += os.read(master, 4096)
        except OSError:
            break
    os.close(master)
    assert b"/dev/pts/0" in text
    assert b"11 44" in text
    assert b"got hello" in text


def test_a_terminal_needs_a_console_socket(oci: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    refused = oci.call("create", "-b", str(bundle.write()), oci.name(), check=False)
    assert "console-socket" in refused.stderr


def test_a_long_root_path(bundle: Bundle, oci: Runtime, tmp_path: Path) -> None:
    deep = Runtime(tmp_path / ("r" * 100) / ("s" * 100))
    name = deep.name()
    deep.call("create", "-b", str(bundle.write()), name, stdout=subprocess.DEVNULL, capture_output=False)
    deep.call("start", name)
    deep.wait_for(name, "stopped")
    deep.call("delete", name)


def test_a_cgroup_in_use_is_refused(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("sleep 100"))
    bundle.linux["cgroupsPath"] = f"/{name}"
    refused = oci.run(bundle)
    assert refused.returncode == 1
    assert "not empty" in refused.stderr
    assert oci.state(name)["status"] == "running"
    bundle.linux["cgroupsPath"] = "/"
    assert oci.run(bundle).returncode == 1
