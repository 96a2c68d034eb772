"""Namespaces that are shared, devices that are given, and what security_opt changes, read from inside."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import Engine
from tests.e2e.attributes.cgroup import UNIFIED
from tests.project import Project


def _first_process(project: Project, name: str) -> int:
    engine = Engine(project.paths.data, project.paths.state)
    container = engine.containers.find(name)
    engine.close()
    return container.live.pid if container and container.live else 0


SLEEP = (
    "image: IMAGE\n            command: sleep 1000\n            init: true\n            stop_grace_period: 0s"
)


def namespace(project: Project, service: str, kind: str) -> str:
    return project.exec(service, "readlink", f"/proc/self/ns/{kind}").strip()


@pytest.mark.covers("services.*", "ipc pid uts cgroup isolation annotations")
def test_namespaces(project: Project) -> None:
    project.write(
        f"""
        services:
          owner:
            {SLEEP}
            ipc: shareable
            annotations: {{org.example.note: told}}
          guest:
            {SLEEP}
            ipc: service:owner
            pid: service:owner
            restart: always
          named:
            image: IMAGE
            command: sleep 1000
            pid: container:project-owner-1
            depends_on: [owner]
            stop_grace_period: 0s
          host:
            {SLEEP}
            ipc: host
            pid: host
            uts: host
            cgroup: host
            userns_mode: host
            isolation: default
          none:
            {SLEEP}
            ipc: none
            cgroup: private
        """
    )
    project.run("up", "-d")
    kinds = ("ipc", "pid", "uts", "cgroup", "user")
    own = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
    owner = {kind: namespace(project, "owner", kind) for kind in kinds}
    guest = {kind: namespace(project, "guest", kind) for kind in kinds}
    host = {kind: namespace(project, "host", kind) for kind in kinds}
    assert guest["ipc"] == owner["ipc"] != own["ipc"]
    assert guest["pid"] == owner["pid"] == namespace(project, "named", "pid") != own["pid"]
    assert guest["uts"] not in (owner["uts"], own["uts"])
    assert host == own
    assert owner["user"] == own["user"] and owner["cgroup"] != own["cgroup"]
    # The shared memory is that of the namespace's owner.
    project.exec("owner", "sh", "-c", "echo shared > /dev/shm/note")
    assert project.exec("guest", "cat", "/dev/shm/note") == "shared\n"
    assert project.exec("guest", "cat", "/proc/1/comm") == project.exec("owner", "cat", "/proc/1/comm")
    assert project.exec("host", "hostname").strip() == os.uname().nodename
    mark = f"pycompose-test-{os.getpid()}"
    project.exec("host", "touch", f"/dev/shm/{mark}")
    assert Path(f"/dev/shm/{mark}").exists()
    Path(f"/dev/shm/{mark}").unlink()
    assert "/dev/shm" not in project.exec("none", "cat", "/proc/mounts")
    (config,) = (Path(project.paths.containers).glob("*/config.json"),)
    notes = [json.loads(path.read_text()).get("annotations") for path in config]
    assert notes.count({"org.example.note": "told"}) == 1
    # The program of a guest that ends is born again in the same place, and a guest's end leaves the owner alone.
    first = _first_process(project, "project-guest-1")
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _first_process(project, "project-guest-1") in (0, first) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert namespace(project, "guest", "pid") == owner["pid"]
    assert namespace(project, "guest", "ipc") == owner["ipc"]
    assert project.ps()["project-owner-1"]["State"] == "running"
    project.run("down")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("ipc: service:other", "ipc: shareable"),
        ("pid: container:nobody", "nobody"),
        ("ipc: elsewhere", "known: host, none, private, shareable"),
        ("uts: host\n    hostname: x", "contradict"),
        ("userns_mode: remapped", "userns_mode"),
        ("isolation: hyperv", "isolation"),
        ("use_api_socket: true", "compose.yaml:6:"),
        ("credential_spec: {file: x}", "Windows"),
        ("storage_opt: {size: 1g}", "compose.yaml:2:3: storage_opt.size: the file system of"),
        ("storage_opt: {sizes: 1g}", "unknown option 'sizes'"),
        ("storage_opt: {size: 99999999t}", "'99999999t' is no size"),
        ("volumes: [{type: npipe, source: x, target: /x}]", "npipe"),
        ("volumes: [{type: cluster, source: x, target: /x}]", "cluster"),
        ("devices: [/no/such/device]", "/no/such/device"),
        ("devices: [/etc/passwd]", "neither a device"),
        ("devices: ['/dev/null:/dev/x:q']", "'q'"),
        ("devices: ['vendor.com/thing=one']", "/etc/cdi"),
        ("gpus: all", "CDI specification"),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}",
            "CDI specification",
        ),
        ("device_cgroup_rules: ['x 1:3 rwm']", "device rule"),
        ("security_opt: [seccomp=missing.json]", "missing.json"),
        ("security_opt: [seccomp=compose.yaml]", "is not JSON"),
        ("security_opt: [nonsense=1]", "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    project: Project, attributes: str, message: str
) -> None:
    project.write(
        f"services:\n  a:\n    image: IMAGE\n    command: sleep 1000\n    depends_on: []\n    {attributes}\n"
        "  other: {image: IMAGE, command: sleep 1000, stop_grace_period: 0s}\n"
    )
    answer = project.run("up", "-d", code=1)
    assert message in answer.stderr
    assert "project-a-1" not in [n for n, c in project.ps().items() if c["State"] == "running"]
    project.run("down")


_SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["rmdir"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    ],
}
_DEVICES = """
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    devices: ['/dev/loop7:/dev/disk:r', '/dev/net:/dev/nets', 'pycompose-test.example/gpu=0']
    device_cgroup_rules: ['b 259:* rm']
    security_opt: [seccomp=profile.json, 'apparmor=nothing-such', 'label=type:x_t', systempaths=unconfined]
  b:
    image: IMAGE
    command: sleep 1000
    init: true
    gpus: [{driver: pycompose-test.example, count: 2}]
    cap_drop: [MKNOD]
  c:
    image: IMAGE
    command: sleep 1000
    init: true
    cap_add: [SYS_ADMIN]
    deploy:
      resources:
        reservations:
          devices: [{driver: cdi, device_ids: ['pycompose-test.example/gpu=2'], capabilities: [x]}]
    security_opt: ['seccomp:profile.json', 'no-new-privileges:true']
"""


@pytest.fixture
def cdi_devices(tmp_path: Path) -> Iterator[None]:
    """Three CDI devices of the host; each is a node that can only be read, a variable and a mount."""
    folder = Path("/etc/cdi")
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    document = {
        "cdiVersion": "0.6.0",
        "kind": "pycompose-test.example/gpu",
        "containerEdits": {
            "env": ["CDI_KIND=test"],
            "hooks": [_cdi_hook(tmp_path, kind) for kind in _CDI_HOOKS],
        },
        "devices": [_cdi_device(number, tmp_path) for number in range(3)],
    }
    (folder / "pycompose-test.json").write_text(json.dumps(document))
    yield
    (folder / "pycompose-test.json").unlink()
    if made:
        folder.rmdir()


_CDI_HOOKS = ("createRuntime", "createContainer", "poststart")
_HOOK = """
import json, sys
state = json.load(sys.stdin)
root = json.load(open(state["bundle"] + "/config.json"))["root"]["path"]
if sys.argv[1] == "createContainer":
    open(root + "/made-by-hook", "w").write(state["id"])
open(sys.argv[2], "a").write(f"{sys.argv[1]} {state['status']}\\n")
"""


def _cdi_hook(folder: Path, kind: str) -> dict[str, Any]:
    """What notes when it is run, and leaves a file in the container's root as a vendor's hooks do."""
    (folder / "hook.py").write_text(_HOOK)
    words = ["hook", str(folder / "hook.py"), kind, str(folder / "hooks-run")]
    return {"hookName": kind, "path": sys.executable, "args": words}


def _cdi_device(number: int, folder: Path) -> dict[str, Any]:
    node = {"path": f"/dev/cdi{number}", "hostPath": "/dev/loop7", "permissions": "r"}
    mount = {"hostPath": str(folder), "containerPath": f"/cdi{number}", "options": ["ro", "rbind"]}
    return {
        "name": str(number),
        "containerEdits": {"env": [f"CDI_{number}=yes"], "deviceNodes": [node], "mounts": [mount]},
    }


@pytest.mark.covers("services.*", "devices device_cgroup_rules privileged security_opt cap_add cap_drop gpus")
@pytest.mark.covers("services.*.devices[]", "source target permissions")
@pytest.mark.covers("services.*.gpus[]", "capabilities count device_ids driver")
@pytest.mark.covers("services.*.deploy.resources.reservations", "devices")
@pytest.mark.covers(
    "services.*.deploy.resources.reservations.devices[]", "capabilities count device_ids driver"
)
def test_devices_and_security(project: Project, cdi_devices: None) -> None:
    (project.folder / "profile.json").write_text(json.dumps(_SECCOMP, indent=2))
    enabled = Path("/sys/module/apparmor/parameters/enabled").exists()
    project.write(_DEVICES.replace("nothing-such", "unconfined") if enabled else _DEVICES)
    told = project.run("up", "-d").stderr
    _check_devices(project)
    _check_security(project)
    for module, name in (("AppArmor", "nothing-such"), ("SELinux", "x_t")):
        assert (module in told) == (name in told), "what the kernel lacks is told"
    assert project.run("up", "-d").stderr.count("Running") == 3
    (project.folder / "profile.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}))
    project.run("up", "-d")
    assert inside(project, "a", "mkdir /x && echo made") == "made", (
        "a profile that changed makes the container anew"
    )
    project.run("down", "-t", "0")


def inside(project: Project, service: str, script: str) -> str:
    return project.exec(service, "sh", "-c", script).strip()


def _check_devices(project: Project) -> None:
    nodes = inside(project, "a", "stat -c '%F %t:%T' /dev/disk /dev/nets/tun")
    assert nodes == "block special file 7:7\ncharacter special file a:c8"
    for device in ("disk", "cdi0"):
        script = f"dd if=/dev/{device} count=1 2>/dev/null && echo read; echo x > /dev/{device} 2>/dev/null || echo refused"
        assert inside(project, "a", script) == "read\nrefused"
    assert inside(project, "a", "echo $CDI_KIND$CDI_0; ls -d /cdi0") == "testyes\n/cdi0"
    container = Engine(project.paths.data, project.paths.state).containers.find("project-a-1")
    assert container is not None
    assert inside(project, "a", "cat /made-by-hook") == container.id
    run = (project.folder.parent / "hooks-run").read_text().splitlines()
    assert sorted(run) == sorted(
        ["createRuntime creating", "createContainer creating", "poststart running"] * 3
    )
    if not UNIFIED:
        assert "b 259:* rm" in inside(project, "a", "cat /sys/fs/cgroup/devices/devices.list")
    assert inside(project, "b", "echo $CDI_0$CDI_1$CDI_2; ls /dev/cdi*") == "yesyes\n/dev/cdi0\n/dev/cdi1"
    assert inside(project, "b", "mknod /n c 1 3 2>&1; true") == "mknod: /n: Operation not permitted"


def _check_security(project: Project) -> None:
    assert (
        inside(project, "a", "mkdir /x 2>&1; true")
        == "mkdir: can't create directory '/x': No space left on device"
    )
    assert (
        inside(project, "a", "wc -c < /proc/timer_list | grep -vx 0 > /dev/null && echo unmasked")
        == "unmasked"
    )
    script = "echo $CDI_2; rmdir /home 2>&1; grep NoNewPrivs /proc/self/status | tr -d '\\t'"
    assert inside(project, "c", script) == "yes\nrmdir: '/home': Operation not permitted\nNoNewPrivs:1"
