"""`exec`: options, process.json, terminals, and containers of every kind."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.oci_cli.runtime import Bundle, Runtime, wait

pytestmark = pytest.mark.root


def test_options(oci: Runtime, bundle: Bundle) -> None:
    bundle.process["env"].append("OWN=1")
    name = oci.detached(bundle.shell("sleep 100"))

    def inside(*words: str) -> str:
        return oci.call("exec", *words).stdout

    assert inside(name, "echo", "-n", "--flag") == "--flag"
    assert (
        inside("--cwd", "/tmp", "-e", "A=b", name, "sh", "-c", "pwd; echo $A $OWN $HOME")
        == "/tmp\nb 1 /root\n"
    )
    assert inside("-u", "1000:7", name, "sh", "-c", "id -u; id -g; echo $HOME") == "1000\n7\n/home/worker\n"
    assert inside("-u", "worker", name, "id", "-G").split() == ["1001", "2000"]
    assert inside("-u", "5", "-g", "8,9", name, "id", "-G").split() == ["0", "8", "9"]
    status = inside("--cap", "CAP_SYS_PTRACE", name, "grep", "CapEff", "/proc/self/status")
    assert int(status.split()[1], 16) >> 19 & 1
    assert "NoNewPrivs:\t1" in inside(name, "cat", "/proc/self/status")
    assert oci.call("exec", name, "sh", "-c", "exit 9", check=False).returncode == 9
    missing = oci.call("exec", name, "no-such", check=False)
    assert missing.returncode == 255
    assert "executable file not found" in missing.stderr
    assert oci.call("exec", "--cap", "CAP_WISH", name, "true", check=False).returncode == 255
    for line in inside(name, "cat", "/proc/self/cgroup").splitlines():
        assert line.endswith("/")  # in the container's cgroup, seen in its namespace


def test_process_json_detached_with_a_pid_file(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    name = oci.detached(bundle.shell("sleep 100"))
    process = {
        "args": ["sh", "-c", "echo $X >/out; sleep 100"],
        "cwd": "/tmp",
        "env": ["PATH=/bin", "X=from-json"],
        "user": {"uid": 0, "gid": 0},
        "oomScoreAdj": 77,
        "scheduler": {"policy": "SCHED_BATCH"},
        "execCPUAffinity": {"initial": "0", "final": "0"},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "capture_output": False}
    oci.call(
        "exec",
        "--process",
        str(tmp_path / "process.json"),
        "-d",
        "--pid-file",
        str(tmp_path / "pid"),
        name,
        **quiet,
    )
    pid = int((tmp_path / "pid").read_text())
    assert pid in json.loads(oci.call("ps", "-f", "json", name).stdout)
    wait(lambda: (bundle.path / "rootfs/out").exists())
    assert (bundle.path / "rootfs/out").read_text() == "from-json\n"
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "77\n"
    assert os.sched_getaffinity(pid) == {0}


def test_in_a_user_namespace(oci: Runtime, bundle: Bundle) -> None:
    bundle.map_user()
    name = oci.detached(bundle.shell("sleep 100"))
    assert oci.call("exec", name, "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split() == [
        "0",
        "0",
        "100000",
        "65536",
    ]
    assert oci.call("exec", "-u", "5", name, "id", "-u").stdout == "5\n"


def test_with_few_namespaces(oci: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [{"type": "mount"}]
    del bundle.config["hostname"]
    bundle.config["mounts"] = [
        m for m in bundle.config["mounts"] if m["type"] not in ("sysfs", "cgroup", "mqueue")
    ]
    name = oci.detached(bundle.shell("sleep 100"))
    own = os.readlink("/proc/self/ns/pid")
    assert oci.call("exec", name, "readlink", "/proc/self/ns/pid").stdout.strip() == own


def test_a_stopped_container_is_refused(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("true"))
    oci.wait_for(name, "stopped")
    refused = oci.call("exec", name, "true", check=False)
    assert refused.returncode == 255
    assert "stopped" in refused.stderr
