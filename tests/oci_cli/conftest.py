"""A bundle with busybox, a runtime with a root of its own, and the check that no container leaves anything."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.oci_cli.spec import plan_spec
from tests.oci_cli.runtime import Bundle, Runtime, cgroups_of


@pytest.fixture
def make_bundle(tmp_path: Path, busybox_root: Path) -> Callable[[], Bundle]:
    """Bundles, each with a copy of the busybox root filesystem."""
    count = 0

    def make() -> Bundle:
        nonlocal count
        count += 1
        path = tmp_path / f"bundle{count}"
        shutil.copytree(busybox_root, path / "rootfs", symlinks=True)
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(folder.stat().st_mode | 0o011)  # root of a user namespace has to get there
        config = plan_spec(rootless=False)
        config["process"].update(terminal=False, args=["sh", "-c", "true"])
        config["root"]["readonly"] = False
        return Bundle(path, config)

    return make


@pytest.fixture
def bundle(make_bundle: Callable[[], Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Runtime]:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and cgroups")
    runtime = Runtime(tmp_path / "root")
    yield runtime
    runtime.clean_up()
    left = [where for name in runtime.made for where in cgroups_of(name)]
    assert not left, f"cgroups left: {left}"
    folders = [p.name for p in (tmp_path / "root").glob("*") if not p.name.startswith(".")]
    assert not folders, f"state left: {folders}"
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(tmp_path) in line]
    assert not mounts, f"mounts left: {mounts}"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[[str], Runtime]]:
    """other("crun"), other("runc"): that runtime, or the test is skipped."""
    made: list[Runtime] = []

    def open_other(program: str) -> Runtime:
        path = shutil.which(program)
        if path is None:
            pytest.skip(f"{program} is not installed (Debian package {program})")
        made.append(Runtime(tmp_path / f"root-{program}", prepared(path)))
        return made[-1]

    yield open_other
    for runtime in made:
        runtime.clean_up()


def prepared(path: str) -> list[str]:
    """How a runtime is called here: crun refuses hybrid cgroups, so it gets a mount namespace without the v2 tree."""
    hybrid = os.path.isdir("/sys/fs/cgroup/unified")
    if os.path.basename(path) != "crun" or not hybrid:
        return [path]
    return ["unshare", "-m", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$0" "$@"', path]


@pytest.fixture
def sleeping() -> Iterator[Callable[[list[str]], subprocess.Popen[bytes]]]:
    """sleeping(["unshare", …]): a process in the background that is killed in the end."""
    running: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
