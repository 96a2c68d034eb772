"""The store: import, list, resolve, inspect, remove."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import tarfile
import threading
import time
from pathlib import Path

import pytest

from runtime.errors import ConflictError, ImageError, InvalidError, NotFoundError
from runtime.image.archive import import_tar
from runtime.image.listing import inspect_image, list_images
from runtime.image.store import ImageStore, chain_ids
from runtime.store.paths import Paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking sets owners and needs root")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))


def archive(path: Path, content: str = "hello", compress: object = None) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("etc/greeting")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content.encode()))
    data = buffer.getvalue()
    path.write_bytes(compress(data) if compress else data)  # type: ignore[operator]
    return str(path)


def test_import_and_resolve(store: ImageStore, tmp_path: Path) -> None:
    tar = archive(tmp_path / "a.tar")
    digest = import_tar(store, tar, "web", ['CMD ["sh"]', "ENV A=1"])
    image = store.resolve("web:latest")
    assert (image.id, image.reference, image.kind) == (digest, "web:latest", "layers")
    assert (image.config.cmd, image.config.env) == (("sh",), ("A=1",))
    assert Path(image.layers[0], "etc/greeting").read_text() == "hello"
    for reference in (digest, digest[7:19], "docker.io/library/web"):
        assert store.resolve(reference).id == digest
    assert [i.references for i in list_images(store)] == [("web:latest",)]
    inspected = inspect_image(store, "web")
    assert inspected["Id"] == digest and inspected["Config"]["Cmd"] == ["sh"]
    assert os.listdir(store.paths.layers) == [os.path.basename(image.layers[0])]


def test_the_store_is_an_oci_layout(store: ImageStore, tmp_path: Path) -> None:
    import_tar(store, archive(tmp_path / "a.tar"), "web")
    images = Path(store.paths.images)
    assert json.loads((images / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((images / "index.json").read_text())
    descriptor = index["manifests"][0]
    assert descriptor["annotations"]["org.opencontainers.image.ref.name"] == "docker.io/library/web:latest"
    manifest = json.loads((images / "blobs" / descriptor["digest"].replace(":", "/")).read_text())
    for part in (descriptor, manifest["config"], *manifest["layers"]):
        data = (images / "blobs" / part["digest"].replace(":", "/")).read_bytes()
        assert len(data) == part["size"]
        assert hashlib.sha256(data).hexdigest() == part["digest"][7:]
    config = json.loads((images / "blobs" / manifest["config"]["digest"].replace(":", "/")).read_text())
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]  # not compressed


@pytest.mark.parametrize(
    "compress",
    [gzip.compress, bz2.compress, lzma.compress, lambda d: gzip.compress(d[:512]) + gzip.compress(d[512:])],
)
def test_compressed_archives_have_the_same_layer(store: ImageStore, tmp_path: Path, compress: object) -> None:
    import_tar(store, archive(tmp_path / "a.tar"), "plain")
    import_tar(store, archive(tmp_path / "a.gz", compress=compress), "packed")
    assert store.resolve("plain").layers == store.resolve("packed").layers


def test_names_move_and_images_go_with_their_last_name(store: ImageStore, tmp_path: Path) -> None:
    first = import_tar(store, archive(tmp_path / "a.tar", "1"), "web", ["LABEL n=1"])
    old_layer = store.resolve("web").layers[0]
    second = import_tar(store, archive(tmp_path / "b.tar", "2"), "web", ["LABEL n=2"])
    assert first != second and store.resolve("web").id == second
    # Containers may stand on the one that lost its name; it goes when images are pruned.
    assert () in [i.references for i in list_images(store)] and os.path.exists(old_layer)
    assert store.prune({first}) == [] and store.prune({second}) == [first]
    assert not os.path.exists(old_layer)
    with pytest.raises(ConflictError, match="is used"):
        store.remove("web", {second})
    assert store.remove("web") == ["untagged: web:latest", "deleted: " + second]
    assert list_images(store) == []
    assert os.listdir(store.paths.layers) == []
    assert os.listdir(f"{store.paths.images}/blobs/sha256") == []
    with pytest.raises(NotFoundError):
        store.remove("web")


def test_one_of_two_names(store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((2026, 1, 1, 0, 0, 0, 0, 1, 0)))
    tar = archive(tmp_path / "a.tar")
    one, two = import_tar(store, tar, "one"), import_tar(store, tar, "two:x")
    assert one == two
    assert list_images(store)[0].references == ("one:latest", "two:x")
    assert store.remove("one", {one}) == ["untagged: one:latest"]
    assert store.resolve("two:x").id == one
    assert store.remove(one[7:20]) == ["untagged: two:x", "deleted: " + one]


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        (b"", ImageError, "archive"),
        (b"no archive at all" * 100, ImageError, "archive"),
        (gzip.compress(b"x" * 5000)[:30], ImageError, "archive"),
        (b"\x1f\x8b" + b"x" * 5000, ImageError, "damaged"),
        (b"\0" * 10240, ImageError, "empty"),
    ],
)
def test_bad_archives_leave_nothing(
    store: ImageStore, tmp_path: Path, data: bytes, error: type[Exception], match: str
) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(error, match=match):
        import_tar(store, str(tmp_path / "bad"), "web")
    assert os.listdir(store.paths.layers) == []
    assert list_images(store) == []


def test_bad_requests(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not there"):
        import_tar(store, "/nowhere.tar", "web")
    with pytest.raises((InvalidError, ImageError)):
        import_tar(store, str(tmp_path), "web")
    with pytest.raises(InvalidError):
        import_tar(store, "-", "Web")
    with pytest.raises(NotFoundError) as caught:
        store.resolve("nothing")
    assert "image import" in caught.value.hint
    with pytest.raises(InvalidError):
        store.resolve("Not Valid")


def test_a_saved_image_is_refused(store: ImageStore, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "saved.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("manifest.json"))
    with pytest.raises(ImageError, match="saved image"):
        import_tar(store, str(tmp_path / "saved.tar"), "web")


def test_importers_side_by_side(store: ImageStore, tmp_path: Path) -> None:
    tars = [archive(tmp_path / f"{n}.tar", str(n % 2)) for n in range(4)]
    threads = [threading.Thread(target=import_tar, args=(store, t, f"web{n}")) for n, t in enumerate(tars)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for number in range(4):
        assert Path(store.resolve(f"web{number}").layers[0], "etc/greeting").read_text() == str(number % 2)


def test_what_a_killed_importer_left_is_removed(store: ImageStore, tmp_path: Path) -> None:
    stale = Path(store.paths.layers, ".new-0123")
    stale.mkdir(parents=True)
    os.utime(stale, (1, 1))
    import_tar(store, archive(tmp_path / "a.tar"), "web")
    assert not stale.exists()


def test_damage_is_named(store: ImageStore, tmp_path: Path) -> None:
    import_tar(store, archive(tmp_path / "a.tar"), "web")
    os.rename(store.resolve("web").layers[0], tmp_path / "moved")
    with pytest.raises(ImageError, match="is missing"):
        store.resolve("web")
    with pytest.raises(ImageError, match="not a sha256"):
        store.blob("sha256:../../etc/passwd")


def test_chain_ids() -> None:
    a, b = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    assert chain_ids([a]) == ["a" * 64]
    assert chain_ids([a, b])[1] == hashlib.sha256(f"{a} {b}".encode()).hexdigest()
