"""storage_opt.size: what a container's writable layer may take, on a file system with project quotas of its own."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import Paths
from runtime.linux import project_quota
from tests.project import Project

_MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-O", "project,quota", "-E", "quotatype=prjquota"],
    "xfs": ["mkfs.xfs", "-q"],
}


@pytest.fixture(params=_MAKE)
def paths(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Paths]:
    """A data directory on a disk whose file system enforces project quotas."""
    words = _MAKE[request.param]
    if os.geteuid() != 0 or shutil.which(words[0], path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs root and {words[0]}")
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([*words, str(image)], check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    mounting = ["mount", "-t", request.param, "-o", "loop,prjquota", str(image), str(disk)]
    mounted = subprocess.run(mounting, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"this kernel can't mount {request.param} with project quotas: {mounted.stderr.strip()}")
    yield Paths(str(disk / "data"), str(tmp_path / "state"))
    subprocess.run(["umount", str(disk)], check=True)


_STACK = """
services:
  small: {image: IMAGE, command: sleep 1000, init: true, stop_grace_period: 0s, storage_opt: {size: 10m}}
  free: {image: IMAGE, command: sleep 1000, init: true, stop_grace_period: 0s}
"""


def _written(project: Project, service: str) -> int:
    """How many MiB of 20 a program gets onto the disk."""
    script = "dd if=/dev/zero of=/file bs=1M count=20 conv=fsync 2>/dev/null; stat -c %s /file; rm /file"
    return int(project.exec(service, "sh", "-c", script)) >> 20


@pytest.mark.covers("services.*", "storage_opt")
def test_a_writable_layer_of_a_size(project: Project) -> None:
    project.write(_STACK)
    project.run("up", "-d")
    assert 7 <= _written(project, "small") < 11
    assert _written(project, "free") == 20
    assert 8_000 < int(project.exec("small", "sh", "-c", "df -k / | tail -1 | awk '{print $2}'")) <= 10_240
    project.run("exec", "-T", "small", "sh", "-c", "echo kept > /kept")
    project.run("restart", "-t", "0", "small")
    assert project.exec("small", "cat", "/kept") == "kept\n"
    assert 7 <= _written(project, "small") < 11
    layers = Path(project.paths.data).glob("containers/*/layer")
    number = max(map(_project_of, layers))
    project.write(_STACK.replace("10m", "30m"))
    project.run("up", "-d")
    assert _written(project, "small") == 20, "another size makes the container anew"
    project.run("down")
    fd = os.open(project.paths.data, os.O_RDONLY)
    deadline = time.monotonic() + 20
    while not project_quota.is_unused(fd, number):  # its files are deleted in the background
        assert time.monotonic() < deadline, "nothing is left of its quota"
        time.sleep(0.1)
    os.close(fd)


def _project_of(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return project_quota.project_of(fd)
    finally:
        os.close(fd)
