"""Snapshots and host:/ as mounted."""

import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import InvalidError, NotFoundError, StartError
from runtime.image import host as host_module
from runtime.image.host import prune_host, resolve_host, resolve_rootfs
from runtime.image.resolve import resolve_image
from runtime.image.snapshot import (
    SnapshotMount,
    ensure_base,
    mount_snapshot,
    overlay_options,
    plan_snapshot,
    prepare_layer_dir,
)
from runtime.image.store import ImageStore, ResolvedImage
from runtime.linux import syscalls
from runtime.oci.image_config import ImageConfig
from runtime.store.paths import Paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path / "data"), str(tmp_path / "state"))


@pytest.fixture
def rootfs(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "rootfs"
    path.mkdir()
    yield path
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in reversed([m for m in mounted if m == str(path) or m.startswith(f"{path}/")]):
        syscalls.umount2(target, 0)


def layers(tmp_path: Path, *contents: dict[str, str]) -> ResolvedImage:
    made = []
    for number, files in enumerate(contents):
        layer = tmp_path / f"layer{number}"
        layer.mkdir()
        for name, text in files.items():
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            (layer / name).write_text(text)
        made.append(str(layer))
    return ResolvedImage("web", "id", ImageConfig(), tuple(made))


def start(image: ResolvedImage, tmp_path: Path, rootfs: Path, **options: bool) -> Path:
    mounts = plan_snapshot(image, str(tmp_path / "layer"))
    prepare_layer_dir(mounts)
    mount_snapshot(mounts, str(rootfs), **options)
    return rootfs


def test_what_every_container_has(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        base = Path(ensure_base(str(tmp_path / "base")))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((base / name).stat().st_mode) for name in ("", "etc", ".dockerenv")] == [0o755] * 3
    assert os.readlink(base / "etc/mtab") == "/proc/mounts"
    (base / "etc/mtab").unlink()  # as where a process was killed
    assert ensure_base(str(base)) and (base / "etc/mtab").is_symlink()


def test_plan(tmp_path: Path) -> None:
    image = ResolvedImage("web", "id", ImageConfig(), ("/a", "/b"))
    assert plan_snapshot(image, "/l") == (SnapshotMount("/", ("/b", "/a"), "/l/root/upper", "/l/root/work"),)
    host = ResolvedImage("host:/", "id", ImageConfig(), ("/s", "/m", "/usr", "/etc"), "host")
    (based,) = plan_snapshot(image, "/l", base="/d/base")
    assert based.lower == ("/b", "/a", "/d/base")
    assert plan_snapshot(host, "/l", base="/d/base") == plan_snapshot(host, "/l")
    assert plan_snapshot(host, "/l") == (
        SnapshotMount("/", ("/s",), "/l/root/upper", "/l/root/work"),
        SnapshotMount("/usr", ("/usr",), "/l/usr/upper", "/l/usr/work"),
        SnapshotMount("/etc", ("/m", "/etc"), "/l/etc/upper", "/l/etc/work"),
    )


def test_layers_are_stacked_and_not_written(tmp_path: Path, rootfs: Path) -> None:
    image = layers(tmp_path, {"a": "low", "b": "low"}, {"b": "high"})
    os.chmod(image.layers[1], 0o711)
    root = start(image, tmp_path, rootfs)
    assert (root / "a").read_text() == "low" and (root / "b").read_text() == "high"
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    (root / "a").write_text("new")
    assert Path(image.layers[0], "a").read_text() == "low"
    syscalls.umount2(str(root))
    start(image, tmp_path, rootfs)
    assert (root / "a").read_text() == "new"


def test_many_layers_and_odd_names(tmp_path: Path, rootfs: Path) -> None:
    base = tmp_path / ("x" * 60 + ":,\\")
    base.mkdir()
    image = layers(base, *({f"f{n}": "x"} for n in range(80)))
    (base / "rootfs").mkdir()
    start(image, base, rootfs)
    assert len(list(rootfs.iterdir())) == 80
    syscalls.umount2(str(rootfs))
    start(ResolvedImage("few", "id", ImageConfig(), image.layers[:2]), base / "other", rootfs)
    assert len(list(rootfs.iterdir())) == 2


def test_options_are_escaped() -> None:
    mount = SnapshotMount("/", ("/a:b", "/c"), "/u,p", "/w")
    assert overlay_options(mount, mount.lower) == "lowerdir=/a\\:b:/c,upperdir=/u\\,p,workdir=/w"
    assert overlay_options(mount, mount.lower, volatile=True).endswith(",volatile")


def test_volatile_can_be_mounted_again(tmp_path: Path, rootfs: Path) -> None:
    image = layers(tmp_path, {"a": "low"})
    for _ in range(2):
        start(image, tmp_path, rootfs, volatile=True)
        syscalls.umount2(str(rootfs))


def test_errors_say_what_to_do(tmp_path: Path, rootfs: Path) -> None:
    image = layers(tmp_path, {"a": "low"})
    mounts = plan_snapshot(image, str(tmp_path / "unprepared"))
    with pytest.raises(StartError) as caught:
        mount_snapshot(mounts, str(rootfs))
    assert caught.value.step == "mount overlay /" and caught.value.errno and caught.value.hint


def test_rootfs_image(tmp_path: Path, rootfs: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("x")
    image = resolve_rootfs(f"rootfs:{tmp_path}/tree")
    root = start(image, tmp_path, rootfs)
    (root / "file").unlink()
    assert (tmp_path / "tree/file").exists()
    for bad in ("rootfs:", "rootfs:relative", "rootfs:/nowhere"):
        with pytest.raises(NotFoundError):
            resolve_rootfs(bad)


def test_host_image(paths: Paths, tmp_path: Path, rootfs: Path) -> None:
    image = resolve_image(ImageStore(paths), "host:/")
    assert image.kind == "host" and image.id.startswith("host:")
    root = start(image, tmp_path, rootfs)
    for path in ("bin/sh", "usr/bin/env", "etc/passwd", "etc/ld.so.cache"):
        assert (root / path).exists(), path
    for path in (
        "etc/shadow",
        "etc/gshadow",
        "etc/machine-id",
        "etc/sudoers",
        "etc/ssl/private",
        "etc/passwd-",
    ):
        assert not os.path.lexists(root / path), path
    for directory in ("home", "root", "run", "tmp", "srv", "mnt", "proc", "sys", "dev"):
        assert os.listdir(root / directory) == [], directory
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((root / "var/tmp").stat().st_mode) == 0o1777
    assert (root / "var/lib/dpkg/info").is_dir() and os.listdir(root / "var/lib/dpkg/info") == []
    found = [f"{top}/{name}" for top, _, files in os.walk(root / "var") for name in files]
    assert [path for path in found if not os.path.islink(path)] == []
    for top, folders, files in os.walk(root / "etc"):
        for name in files + folders:
            mode = os.lstat(f"{top}/{name}").st_mode
            assert stat.S_ISLNK(mode) or mode & 0o004, f"{top}/{name}"
    (root / "usr/planted").write_text("x")
    (root / "etc/planted").write_text("x")
    assert not os.path.exists("/usr/planted") and not os.path.exists("/etc/planted")
    out = subprocess.run(
        ["chroot", str(root), "sh", "-c", "echo it runs"], capture_output=True, text=True, timeout=10
    )
    assert out.stdout == "it runs\n"


def test_host_is_built_once_and_again_when_etc_changes(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve_host(paths)
    scans = []
    real = host_module._scan_etc
    monkeypatch.setattr(host_module, "_scan_etc", lambda *a: scans.append(1) or real(*a))
    begin = time.perf_counter()
    assert resolve_host(paths) == first
    assert time.perf_counter() - begin < 0.1
    assert scans == []
    secret = Path(f"/etc/pycompose-test-{os.getpid()}")
    try:
        secret.write_text("x")
        secret.chmod(0o600)
        second = resolve_host(paths)
        assert second.id != first.id
        assert Path(second.layers[1], secret.name).is_char_device()
        secret.chmod(0o644)  # not seen by any directory: the files are looked at once a minute
        later = time.time() + 61
        monkeypatch.setattr(time, "time", lambda: later)
        assert resolve_host(paths).id == first.id
    finally:
        secret.unlink()
    assert prune_host(paths, {first.id}) == [second.id.removeprefix("host:")]
    assert prune_host(paths, ()) == []


def test_a_data_directory_within_the_image_is_refused() -> None:
    with pytest.raises(InvalidError, match="/opt"):
        resolve_host(Paths("/opt/pycompose-data", "/run/x"))


def test_other_words_after_host(paths: Paths) -> None:
    with pytest.raises(InvalidError):
        resolve_image(ImageStore(paths), "host:/usr")


def test_a_link_in_the_writable_layer_does_not_move_a_mount(
    paths: Paths, tmp_path: Path, rootfs: Path
) -> None:
    mounts = plan_snapshot(resolve_host(paths), str(tmp_path / "layer"))
    prepare_layer_dir(mounts)
    (tmp_path / "elsewhere").mkdir()
    os.mknod(f"{mounts[0].upper}/opt", stat.S_IFCHR, 0)
    os.unlink(f"{mounts[0].upper}/opt")
    os.symlink(str(tmp_path / "elsewhere"), f"{mounts[0].upper}/opt")
    with pytest.raises(StartError):
        mount_snapshot(mounts, str(rootfs))
