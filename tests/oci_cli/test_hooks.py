"""Lifecycle hooks: when they run, where, what they are told, and what their failure does."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.oci_cli.runtime import Bundle, Runtime

pytestmark = pytest.mark.root


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **more}


def test_all_hooks_in_order_with_the_state(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    outside = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    bundle.config["hooks"] = {
        kind: [hook(f"cat >{tmp_path}/{kind}; echo {kind} >>{log}")] for kind in outside
    }
    # In the container: its own /bin/sh, its own files.
    bundle.config["hooks"]["startContainer"] = [
        hook("cat >/state; echo startContainer >>/log; hostname >>/log")
    ]
    name = oci.name()
    done = oci.run(bundle.shell("cat /log"), name=name, check=True)
    assert done.stdout.splitlines() == ["startContainer", "container"]
    assert log.read_text().split() == list(outside)
    states = {kind: json.loads((tmp_path / kind).read_text()) for kind in outside}
    states["startContainer"] = json.loads((bundle.path / "rootfs/state").read_text())
    for state in states.values():
        assert state["id"] == name
        assert state["bundle"] == str(bundle.path)
    expected = {"prestart": "creating", "createRuntime": "creating", "createContainer": "creating"}
    expected |= {"startContainer": "created", "poststart": "running", "poststop": "stopped"}
    assert {kind: state["status"] for kind, state in states.items()} == expected
    assert states["createRuntime"]["pid"] > 1


def test_a_create_container_hook_sees_the_mounts_of_the_container(oci: Runtime, bundle: Bundle) -> None:
    bundle.mount("/inside", "tmpfs", "tmpfs")
    target = f"{bundle.path}/rootfs/inside/by-hook"
    bundle.config["hooks"] = {"createContainer": [hook(f"echo made >{target}")]}
    assert oci.output(bundle, "cat /inside/by-hook") == "made\n"
    assert not Path(target).exists()


@pytest.mark.parametrize(
    "kind", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"]
)
def test_a_failing_hook_ends_the_container(oci: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [hook("echo because >&2; exit 3")]}
    done = oci.run(bundle.shell("sleep 5; echo never"))
    assert done.returncode == 1
    assert f"{kind} hook failed with exit code 3" in done.stderr
    assert "because" in done.stderr
    assert "never" not in done.stdout


def test_failing_poststart_of_a_created_container(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"poststart": [hook("exit 1")]}
    name = oci.name()
    import subprocess

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "capture_output": False}
    oci.call("create", "-b", str(bundle.shell("sleep 100").write()), name, **quiet)
    assert oci.call("start", name, check=False).returncode == 1
    assert oci.call("state", name, check=False).returncode == 1


def test_poststop_failures_are_only_told(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {"poststop": [hook("exit 1"), hook(f"touch {tmp_path}/second")]}
    done = oci.run(bundle.shell("exit 4"))
    assert done.returncode == 4
    assert "poststop hook failed with exit code 1" in done.stderr
    assert (tmp_path / "second").exists()


def test_a_hook_that_takes_too_long(oci: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "60"], "timeout": 1}]}
    done = oci.run(bundle)
    assert done.returncode == 1
    assert "did not end within 1 s" in done.stderr


def test_a_hook_without_env_has_the_callers(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {
        "prestart": [{"path": "/bin/sh", "args": ["sh", "-c", f'echo "$MARK" >{tmp_path}/env']}]
    }
    oci.run(bundle, check=True, env={"MARK": "here", "PATH": "/usr/bin:/bin"})
    assert (tmp_path / "env").read_text() == "here\n"


def test_output_of_hooks_in_files(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """crun's annotations."""
    bundle.config["hooks"] = {"prestart": [hook("echo said; echo complained >&2")]}
    files = {stream: str(tmp_path / stream) for stream in ("stdout", "stderr")}
    bundle.config["annotations"] = {f"run.oci.hooks.{stream}": path for stream, path in files.items()}
    oci.run(bundle, check=True)
    assert [Path(path).read_text() for path in files.values()] == ["said\n", "complained\n"]
