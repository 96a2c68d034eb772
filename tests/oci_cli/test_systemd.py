"""systemd as cgroup manager: for real where it is pid 1, else its refusal and what is sent to it."""

import os
import subprocess
from pathlib import Path

import pytest

from runtime.cgroups.systemd import parse_scope, plan_limits, slice_path
from runtime.errors import InvalidError
from tests.oci_cli.runtime import Bundle, Runtime

BOOTED = os.path.isdir("/run/systemd/system")


def test_scopes_and_slices() -> None:
    scope = parse_scope("machine.slice:libpod:abc", "id")
    assert scope == ("libpod-abc.scope", "machine.slice", "/machine.slice/libpod-abc.scope")
    assert parse_scope("", "id").unit == "pycompose-oci-id.scope"
    assert slice_path("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert slice_path("-.slice") == ""
    for text in ("/a/b", "a:b", "no-slice:a:b"):
        with pytest.raises(InvalidError):
            parse_scope(text, "id")


def test_limits_as_properties() -> None:
    resources = {
        "memory": {"limit": 1 << 26, "reservation": -1},
        "cpu": {"quota": 25_000, "period": 50_000, "shares": 1024},
        "pids": {"limit": 9},
    }
    assert dict(plan_limits(resources)) == {  # type: ignore[arg-type]
        "MemoryMax": 1 << 26,
        "MemoryLow": (1 << 64) - 1,
        "CPUQuotaPerSecUSec": 500_000,
        "CPUWeight": 100,
        "TasksMax": 9,
    }


@pytest.mark.root
@pytest.mark.skipif(BOOTED, reason="systemd answers here")
def test_a_clear_error_where_systemd_does_not_answer(oci: Runtime, bundle: Bundle) -> None:
    done = oci.call("--systemd-cgroup", "run", "-b", str(bundle.write()), oci.name(), check=False)
    assert done.returncode == 1
    assert "does not answer on D-Bus" in done.stderr


@pytest.mark.root
@pytest.mark.skipif(not BOOTED, reason="needs systemd as pid 1")
def test_a_container_in_a_scope(oci: Runtime, bundle: Bundle) -> None:
    oci.command.append("--systemd-cgroup")
    bundle.linux["cgroupsPath"] = "system.slice:pctest:scoped"
    bundle.linux["resources"].update(memory={"limit": 64 << 20}, pids={"limit": 40})
    name = oci.detached(bundle.shell("sleep 1000"))

    def shown(value: str) -> str:
        return subprocess.check_output(
            ["systemctl", "show", "-P", value, "pctest-scoped.scope"], text=True
        ).strip()

    assert shown("ActiveState") == "active"
    assert (shown("MemoryMax"), shown("TasksMax")) == (str(64 << 20), "40")
    pid = oci.state(name)["pid"]
    assert "/system.slice/pctest-scoped.scope" in Path(f"/proc/{pid}/cgroup").read_text()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        directory = "/sys/fs/cgroup/system.slice/pctest-scoped.scope"
        assert Path(f"{directory}/memory.max").read_text().strip() == str(64 << 20)
        assert Path(f"{directory}/cgroup.procs").read_text().split() == [str(pid)]
    assert oci.call("exec", name, "echo", "in").stdout == "in\n"
    oci.call("kill", name, "KILL")
    oci.wait_for(name, "stopped")
    oci.call("delete", name)
    assert shown("ActiveState") in ("inactive", "")
