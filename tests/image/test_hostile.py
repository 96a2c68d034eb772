"""Saved images and archives made to do harm: refused, nothing written outside the store, nothing half visible."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from runtime.errors import EngineError, ImageError
from runtime.image import stream as stream_module
from runtime.image.listing import list_images
from runtime.image.load import load_archive
from runtime.image.store import ImageStore
from runtime.image.stream import LayerStream
from runtime.store.paths import Paths
from tests.image.builder import Layout, tar_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking sets owners and needs root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))


def members(*made: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info in made:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


def test_links_out_of_a_layer_stay_inside(store: ImageStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layout = Layout(tmp_path / "layout")
    layer = members(
        info("up", tarfile.SYMTYPE, "../" * 20 + str(outside)),
        info("abs", tarfile.SYMTYPE, str(outside)),
        info("up/one", size=1),
        info("abs/two", size=1),
    )
    layout.image("x", [layer])
    try:
        load_archive(store, str(layout.path))
    except EngineError:
        pass
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        members(info("../../escape", size=1)),
        members(info("a/../../escape", size=1)),
        members(info("hard", tarfile.LNKTYPE, "../../../etc/passwd")),
        members(info("hard", tarfile.LNKTYPE, "/etc/passwd")),
        members(info(".wh...")),
        members(info("f", b"Z")),
        tar_of({"a": "x" * 5000})[:2000],
    ],
)
def test_nothing_is_visible_of_a_bad_layer(store: ImageStore, tmp_path: Path, bad: bytes) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image("x", [tar_of({"good": "x"}), bad])
    with pytest.raises(EngineError):
        load_archive(store, str(layout.path))
    assert list_images(store) == []
    assert [name for name in os.listdir(store.paths.layers) if not name.startswith(".")] == []
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize(
    "pack", [lambda data: gzip.compress(data, 9), lambda data: zstandard.compress(data, 19)]
)
def test_bombs(monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]) -> None:
    monkeypatch.setattr(stream_module, "_ALLOWANCE_BYTES", 1 << 20)
    bomb = pack(b"\0" * (64 << 20))
    with pytest.raises(ImageError, match="decompression bomb"):
        LayerStream([bomb]).drain()


def test_a_blob_that_is_not_what_it_is_called(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image("x", [tar_of({"a": "b"})])
    for blob in (layout.path / "blobs/sha256").iterdir():
        whole = blob.read_bytes()
        blob.write_bytes(whole + b" ")
        with pytest.raises(EngineError):
            load_archive(store, str(layout.path))
        blob.write_bytes(whole)
    assert list_images(store) == []
    (layout.path / "blobs/sha256").rename(layout.path / "blobs/other")
    with pytest.raises(ImageError, match="can't be read"):
        load_archive(store, str(layout.path))


def test_a_layout_whose_blobs_are_links(store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image("x", [tar_of({"a": "b"})])
    for blob in list((layout.path / "blobs/sha256").iterdir()):
        blob.rename(tmp_path / blob.name)
        blob.symlink_to(tmp_path / blob.name)
    with pytest.raises(ImageError, match="can't be read"):
        load_archive(store, str(layout.path))


def test_implied_directories_look_as_below(store: ImageStore, tmp_path: Path) -> None:
    first = members(info("srv/", tarfile.DIRTYPE))
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        member = tar.getmembers()[0]
    member.mode, member.uid = 0o1770, 33
    layout = Layout(tmp_path / "layout")
    layout.image("x:1", [members(member), members(info("srv/file", size=1))])
    load_archive(store, str(layout.path))
    found = os.stat(store.resolve("x:1").layers[1] + "/srv")
    assert (found.st_mode & 0o7777, found.st_uid) == (0o1770, 33)


def test_sparse_files_stay_sparse(store: ImageStore, tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "root").mkdir()
    with open(tmp_path / "root/hole", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"data")
    subprocess.run(["tar", "-S", "-cf", "sparse.tar", "-C", "root", "."], cwd=tmp_path, check=True)
    layout = Layout(tmp_path / "layout")
    layout.image("x:1", [(tmp_path / "sparse.tar").read_bytes()])
    load_archive(store, str(layout.path))
    found = os.stat(store.resolve("x:1").layers[0] + "/hole")
    assert found.st_size == 64 << 20 and found.st_blocks * 512 < 1 << 20
