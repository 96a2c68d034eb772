"""What all tests share: a root of their own, a root filesystem, and the check that nothing is left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import Engine, Paths
from tests.leaks import Snapshot
from tests.project import Project
from tests.registry import Registry

# A suite that a shell runs in the background ignores SIGINT, and so would the commands it tests.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller changes what a test sees."""
    for name in list(os.environ):
        if name.startswith(("COMPOSE_", "PYCOMPOSE_")) or name == "NO_COLOR":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem with a static busybox and its applets; the image `rootfs:PATH`."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed (package busybox-static)")
    root = tmp_path_factory.mktemp("busybox")
    root.chmod(0o755)
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev", "var", "home"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in subprocess.check_output([busybox, "--list"], text=True).split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001:worker:/home/worker:/bin/sh\n"
    )
    (root / "etc/group").write_text("root:x:0:\nworkers:x:1001:\nextra:x:2000:worker\n")
    return root


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path / "data"), str(tmp_path / "state"))


@pytest.fixture
def leak_check(paths: Paths) -> Iterator[None]:
    """Fails the test if processes, mounts, links, cgroups or nft tables of its root are left after it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces, cgroups and links")
    before = Snapshot.take(paths)
    yield
    deadline = time.monotonic() + 5
    while (left := Snapshot.take(paths) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, "left behind:\n" + "\n".join(sorted(left))


@pytest.fixture
def engine(paths: Paths, leak_check: None) -> Iterator[Engine]:
    """An engine with both roots of its own; whatever the test leaves running is taken away and reported."""
    opened = Engine(paths.data, paths.state)
    yield opened
    left = opened.containers.list()
    _clean_up(opened)
    opened.close()
    assert not left, f"containers left by the test: {[container.name for container in left]}"


def _clean_up(engine: Engine) -> None:
    engine.project_lock("cleaning-up")
    for container in engine.containers.list():
        engine.containers.begin_stop(container, grace_ns=0).finish()
        engine.containers.remove(container.id, volumes=True)
    for network in engine.networks.list():
        engine.networks.remove(network.name)


@pytest.fixture
def project(tmp_path: Path, paths: Paths, busybox_root: Path, leak_check: None) -> Iterator[Project]:
    """A folder with a Compose file and the `pycompose` command in a root of its own."""
    made = Project(tmp_path / "project", paths, busybox_root, [sys.executable, "-P", "-m", "composer"])
    yield made
    opened = Engine(paths.data, paths.state)
    _clean_up(opened)
    opened.close()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A plain registry for all tests; they choose names of their own."""
    server = Registry(tmp_path_factory.mktemp("registry"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory: pytest.TempPathFactory, busybox_root: Path) -> Path:
    """The root filesystem of `busybox_root` as a tar."""
    path = tmp_path_factory.mktemp("archive") / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(busybox_root, arcname=".")
    return path
