"""What volumes and mounts do, read from inside the container."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from runtime import Engine
from tests.project import Project

SLEEP = "command: sleep 1000, init: true, stop_grace_period: 0s"


def data_of(project: Project, volume: str) -> Path:
    return Path(project.paths.data, "volumes", f"project_{volume}", "_data")


def _names(project: Project) -> list[str]:
    return project.run("volume", "ls", "-q").stdout.split()


@pytest.fixture
def image_root(tmp_path: Path, busybox_root: Path) -> Path:
    """A root filesystem with content where volumes are mounted."""
    root = tmp_path / "image"
    subprocess.run(["cp", "-a", f"{busybox_root}/.", root], check=True)
    (root / "data/deep").mkdir(parents=True)
    (root / "data/deep/file").write_text("of the image\n")
    os.chown(root / "data/deep/file", 12, 34)
    os.chmod(root / "data/deep/file", 0o640)
    os.setxattr(root / "data/deep/file", "user.note", b"kept")
    os.chmod(root / "data", 0o1770)
    return root


@pytest.mark.covers("services.*", "volumes volumes_from tmpfs shm_size read_only")
@pytest.mark.covers("services.*.volumes[]", "type source target read_only bind volume tmpfs image")
@pytest.mark.covers("services.*.volumes[].bind", "propagation create_host_path recursive selinux")
@pytest.mark.covers("services.*.volumes[].volume", "labels nocopy subpath")
@pytest.mark.covers("services.*.volumes[].tmpfs", "size mode")
@pytest.mark.covers("services.*.volumes[].image", "subpath")
@pytest.mark.covers("", "volumes")
@pytest.mark.covers("volumes.*", "name driver driver_opts external labels")
@pytest.mark.covers("volumes.*.external", "name")
def test_mounts(project: Project, image_root: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    (host / "below").mkdir(parents=True)
    device = tmp_path / "device"
    device.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", host], check=True)
    (host / "sub").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", host / "sub"], check=True)
    subprocess.run(["mount", "--make-rshared", host], check=True)
    Engine(project.paths.data, project.paths.state).volumes.create("outside")
    project.write(
        f"""
        services:
          a:
            image: rootfs:{image_root}
            {SLEEP.replace(", ", chr(10) + " " * 12)}
            shm_size: 2m
            tmpfs: ["/scratch:size=1m,mode=700,uid=5,gid=6", "/run"]
            cap_add: [SYS_ADMIN]
            security_opt: [seccomp=unconfined]
            volumes:
              - copied:/data
              - {{type: volume, source: empty, target: /empty/../data2, volume: {{nocopy: true, labels: {{x: y}}}}}}
              - {{type: volume, source: copied, target: /part, volume: {{subpath: deep}}}}
              - {{type: volume, source: bound, target: /bound}}
              - {{type: volume, source: memory, target: /memory}}
              - outer:/outer:ro
              - {{type: bind, source: {host}, target: /ro, read_only: true}}
              - {{type: bind, source: {host}, target: /flat, read_only: true, bind: {{recursive: disabled, selinux: z}}}}
              - {{type: bind, source: {host}, target: /writable, read_only: true, bind: {{recursive: writable}}}}
              - {{type: bind, source: {host}, target: /peer, bind: {{propagation: rshared}}}}
              - {{type: bind, source: {tmp_path}/made/here, target: /made, bind: {{create_host_path: true}}}}
              - {{type: tmpfs, target: /fast, tmpfs: {{size: 1048576, mode: 0o711}}}}
              - {{type: image, source: IMAGE, target: /other, image: {{subpath: etc}}}}
              - {{type: volume, target: /anonymous, volume: {{labels: {{whose: mine}}}}}}
          b:
            image: rootfs:{image_root}
            {SLEEP.replace(", ", chr(10) + " " * 12)}
            volumes_from: ["a:ro"]
            volumes: ["memory:/own"]
          c:
            image: rootfs:{image_root}
            {SLEEP.replace(", ", chr(10) + " " * 12)}
            volumes_from: ["container:project-a-1"]
            depends_on: [a]
        volumes:
          copied: {{labels: {{kind: test}}}}
          empty: {{name: named-otherwise, driver: local}}
          bound: {{driver: local, driver_opts: {{type: none, o: bind, device: {device}}}}}
          memory: {{driver_opts: {{type: tmpfs, device: tmpfs, o: "size=1m,uid=77"}}}}
          outer: {{external: true, name: outside}}
        """
    )
    try:
        told = project.run("up", "-d").stderr
        assert "volumes[1].volume.labels has no effect" in told and "selinux" not in told
        labels = [
            json.loads(project.run("volume", "inspect", name).stdout)[0]["Labels"] for name in _names(project)
        ]
        assert {"whose": "mine"} in labels
        _check_mounts(project, device, host, tmp_path)
        before = project.exec("a", "sh", "-c", "echo kept > /anonymous/x; cat /anonymous/x")
        project.run("up", "-d", "--force-recreate")
        assert project.exec("a", "cat", "/anonymous/x") == before
        assert project.exec("b", "cat", "/anonymous/x") == before
        project.run("up", "-d", "--force-recreate", "-V")
        assert project.exec("a", "ls", "/anonymous") == ""
        project.run("down", "-v")
    finally:
        subprocess.run(["umount", "-R", host], check=True)
    assert not data_of(project, "copied").exists()
    assert Path(project.paths.data, "volumes/outside/_data").is_dir(), "an external volume stays"
    assert (device / "fresh").exists(), "what a bound volume leads to stays"


def _check_mounts(project: Project, device: Path, host: Path, tmp_path: Path) -> None:
    def inside(script: str, service: str = "a") -> str:
        return project.exec(service, "sh", "-c", script).strip()

    # Content of the image, with owner, mode and attributes.
    copied = data_of(project, "copied") / "deep/file"
    status = copied.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o640)
    assert os.getxattr(copied, "user.note") == b"kept"
    assert stat.S_IMODE(data_of(project, "copied").stat().st_mode) == 0o1770
    assert Path(project.paths.data, "volumes/named-otherwise/_data").is_dir()
    assert os.listdir(Path(project.paths.data, "volumes/named-otherwise/_data")) == []
    assert inside("cat /part/file; echo more > /part/new; cat /data/deep/new") == "of the image\nmore"
    # driver_opts: a folder of the host, and one memory file system for all that use it.
    inside("touch /bound/fresh")
    assert (device / "fresh").exists()
    assert (
        inside("echo shared > /memory/x; stat -c %u /memory; grep -o 'size=1024k' /proc/mounts | head -1")
        == "77\nsize=1024k"
    )
    assert inside("cat /own/x /memory/x", "b") == "shared\nshared"
    assert not list(data_of(project, "memory").iterdir()), "the host sees none of it"
    # Read-only, in depth and not.
    refused = "2>/dev/null || echo refused"
    assert (
        inside(f"touch /outer/x {refused}; touch /ro/x {refused}; touch /ro/sub/x {refused}")
        == "refused\n" * 2 + "refused"
    )
    assert inside(f"touch /writable/x {refused}; touch /writable/sub/x && echo written") == "refused\nwritten"
    assert inside(f"touch /flat/x {refused}; ls /flat/sub") == "refused"
    assert (host / "sub/x").exists()
    # What is mounted below a shared bind shows on the host.
    inside("mkdir /peer/new; mount -t tmpfs none /peer/new; touch /peer/new/from-inside")
    assert (host / "new/from-inside").exists()
    inside("umount /peer/new")
    assert (tmp_path / "made/here").is_dir()
    # Memory file systems.
    assert inside("stat -c '%a %u %g' /scratch; stat -c %a /fast") == "700 5 6\n711"
    assert (
        inside(
            "grep -c ' /scratch tmpfs .*size=1024k\\| /fast tmpfs .*size=1024k\\| /dev/shm tmpfs .*size=2048k' /proc/mounts"
        )
        == "3"
    )
    # Another image, read-only.
    assert inside(f"grep -c worker /other/passwd; touch /other/x {refused}") == "1\nrefused"
    # volumes_from, read-only when it says so.
    assert (
        inside(f"cat /data/deep/file; touch /data/x {refused}; touch /own/y && echo own", "b")
        == "of the image\nrefused\nown"
    )
    assert inside("cat /data/deep/file; touch /data/from-c && echo written", "c") == "of the image\nwritten"
