"""A power cut leaves no name of something that is not there: content is on the disk before it gets its name."""

import os
from pathlib import Path

import pytest

from runtime.build.cache import bound_cache
from runtime.image.pull import pull_image
from runtime.image.store import ImageStore
from runtime.linux import syscalls
from runtime.store.paths import Paths
from tests.build.conftest import Workshop
from tests.image.builder import Layout, tar_of
from tests.registry import Registry, skopeo

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking sets owners and needs root")


def _watch(monkeypatch: pytest.MonkeyPatch, store: Paths, notes: Path) -> None:
    """Note at every syncfs what has a name by then."""
    real = syscalls.syncfs

    def watched(fd: int) -> None:
        real(fd)
        layers = [name for name in os.listdir(store.layers) if not name.startswith(".")]
        index = Path(store.images, "index.json")
        named = index.read_text().count('"digest"') if index.exists() else 0
        with notes.open("a") as file:
            file.write(f"{len(layers)} {named}\n")

    monkeypatch.setattr(syscalls, "syncfs", watched)


def test_pull(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))
    layout = Layout(tmp_path / "layout")
    layout.image("one", [tar_of({"a": "1"}), tar_of({"b": "2"}), tar_of({"c": "3"})])
    name = f"{registry.host}/durable:1"
    skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout.path}:one", f"docker://{name}")
    _watch(monkeypatch, store.paths, tmp_path / "notes")
    pull_image(store, name)
    assert (tmp_path / "notes").read_text() == "0 0\n"
    assert len(store.resolve(name).layers) == 3
    # Nothing new, nothing to wait for.
    pull_image(store, name)
    assert (tmp_path / "notes").read_text() == "0 0\n"


def test_build(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _watch(monkeypatch, workshop.engine.paths, tmp_path / "notes")
    text = "FROM busybox\nRUN echo 1 >/a\nRUN echo 2 >/b\n"
    workshop.build(text)
    # busybox is there: one layer, one image.
    assert (tmp_path / "notes").read_text() == "1 1\n"
    workshop.build(text)
    assert (tmp_path / "notes").read_text() == "1 1\n"


def test_the_cache_is_bounded(workshop: Workshop) -> None:
    """What was used longest ago goes, with the layers that only it had; the rest still works."""
    dockerfile = "FROM busybox\nCOPY first /\nRUN true >/second\nRUN true >/third\n"
    images = []
    for number in range(3):
        workshop.write("first", os.urandom(100_000).hex() + str(number))
        images.append(workshop.build(dockerfile))
    store = ImageStore(workshop.engine.paths)
    folder = Path(store.paths.build, "records")
    before, layers = len(list(folder.iterdir())), len(os.listdir(store.paths.layers))
    assert bound_cache(store) == 0, "after a build it has just been looked after"
    assert bound_cache(store, 1 << 30) == 0
    gone = bound_cache(store, 250_000)
    assert gone and len(list(folder.iterdir())) == before - gone
    assert (
        len(os.listdir(store.paths.layers)) == layers
    )  # the images that have lost their name still have them
    workshop.engine.images.prune()
    assert len(os.listdir(store.paths.layers)) < layers
    assert workshop.build(dockerfile) == images[-1] and set(workshop.cached) == {"cached"}
    bound_cache(store, 1)  # and a build after its command has looked into the database
    assert list(folder.iterdir()) == []
    workshop.build(dockerfile)
    assert "cached" not in workshop.cached
