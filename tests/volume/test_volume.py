"""Volumes and filling them from an image."""

import os
import stat
import threading
from pathlib import Path

import pytest

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.store.paths import Paths
from runtime.volume.store import VolumeStore

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="volumes keep owners and need root")


@pytest.fixture
def store(tmp_path: Path) -> VolumeStore:
    return VolumeStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "rootfs"
    data = root / "var/data"
    (data / "deep/er").mkdir(parents=True)
    (data / "file").write_text("content")
    os.link(data / "file", data / "deep/again")
    os.chown(data / "file", 5, 6)
    os.chmod(data / "file", 0o4640)
    os.utime(data / "file", (7, 8))
    os.setxattr(data / "file", "user.x", b"y")
    os.symlink("/etc/passwd", data / "link")
    os.mkfifo(data / "pipe")
    os.chown(data, 9, 10)
    os.chmod(data, 0o1770)
    os.symlink("/var/data", root / "alias")
    return root


def _fill(store: VolumeStore, rootfs: Path, path: str) -> None:
    store.prepare("v", str(rootfs), path, copy=True)


def test_create_list_remove(store: VolumeStore, tmp_path: Path) -> None:
    assert store.list_volumes() == []
    assert store.create("p_data") == store.create("p_data") == "p_data"
    anonymous = store.create()
    assert len(anonymous) == 64
    assert store.list_volumes() == sorted(["p_data", anonymous])
    assert stat.S_IMODE(os.stat(store.data("p_data")).st_mode) == 0o755
    Path(store.data("p_data"), "x").touch()
    trash = store.remove("p_data")
    assert not store.exists("p_data") and Path(trash, "_data/x").exists()
    with pytest.raises(NotFoundError):
        store.remove("p_data")


@pytest.mark.parametrize("name", ["..", "a/b", "-x", ".x", "a b", "x" * 256])
def test_bad_names(store: VolumeStore, name: str) -> None:
    with pytest.raises(InvalidError):
        store.create(name)
    assert not store.exists(name)


def test_first_use_takes_the_images_content(store: VolumeStore, rootfs: Path) -> None:
    store.create("v")
    _fill(store, rootfs, "/alias")
    data = Path(store.data("v"))
    status = (data / "file").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (5, 6, 0o4640)
    assert (status.st_mtime, status.st_nlink) == (8, 2)
    assert os.getxattr(data / "file", "user.x") == b"y"
    assert os.path.samefile(data / "file", data / "deep/again")
    assert os.readlink(data / "link") == "/etc/passwd"
    assert stat.S_ISFIFO((data / "pipe").stat().st_mode)
    assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (9, 0o1770)
    assert os.listdir(Path(store.data("v")).parent) == ["_data"]


def test_only_an_empty_volume_is_filled(store: VolumeStore, rootfs: Path) -> None:
    store.create("v")
    Path(store.data("v"), "mine").touch()
    _fill(store, rootfs, "/var/data")
    assert os.listdir(store.data("v")) == ["mine"]


@pytest.mark.parametrize("path", ["/nowhere", "/var/data/file", "/var/data/link/x"])
def test_nothing_to_copy(store: VolumeStore, rootfs: Path, path: str) -> None:
    store.create("v")
    _fill(store, rootfs, path)
    assert os.listdir(store.data("v")) == []


def test_links_stay_inside_the_root(store: VolumeStore, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("x")
    os.symlink(str(tmp_path / "secret"), rootfs / "out")
    os.symlink("../../../" + str(tmp_path / "secret"), rootfs / "up")
    store.create("v")
    _fill(store, rootfs, "/out")
    _fill(store, rootfs, "/up")
    assert os.listdir(store.data("v")) == []


def test_an_interrupted_copy_is_made_again(store: VolumeStore, rootfs: Path) -> None:
    store.create("v")
    left = Path(store.data("v")).parent / ".fill"
    left.mkdir()
    (left / "half").touch()
    _fill(store, rootfs, "/var/data")
    assert Path(store.data("v"), "file").exists() and not Path(store.data("v"), "half").exists()


def test_two_containers_at_once(store: VolumeStore, rootfs: Path) -> None:
    store.create("v")
    failures: list[Exception] = []

    def fill() -> None:
        try:
            _fill(store, rootfs, "/var/data")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not failures
    assert os.listdir(Path(store.data("v")).parent) == ["_data"]
    assert sorted(os.listdir(store.data("v"))) == ["deep", "file", "link", "pipe"]


def test_an_import_keeps_the_directory_and_what_others_wrote(store: VolumeStore) -> None:
    """A container that was started meanwhile has the directory mounted."""
    store.create("v")
    data = Path(store.data("v"))
    number = data.stat().st_ino

    def make(folder: str) -> None:
        Path(folder, "imported").touch()

    def make_while_another_writes(folder: str) -> None:
        make(folder)
        (data / "mine").touch()

    with pytest.raises(ConflictError, match="is not empty"):
        store.replace_empty("v", make_while_another_writes)
    assert os.listdir(data) == ["mine"] and os.listdir(data.parent) == ["_data"]
    (data / "mine").unlink()
    store.replace_empty("v", make)
    assert os.listdir(data) == ["imported"] and os.listdir(data.parent) == ["_data"]
    assert data.stat().st_ino == number


def test_a_cut_off_move_is_finished_for_a_reader(store: VolumeStore) -> None:
    store.create("v")
    (Path(store.data("v")).parent / ".filled").mkdir()
    (Path(store.data("v")).parent / ".filled/late").touch()
    assert os.listdir(store.settled("v")) == ["late"]
