"""Builds that need not be done: what was looked at is as it was. And every kind of change is seen."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import BuildRequest
from runtime.build import outcomes, witness
from runtime.build.cache import prune_records
from runtime.build.outcomes import recall_outcome
from runtime.image.naming import parse_target
from runtime.image.store import ImageStore
from tests.build.conftest import Workshop

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds need root")

_DOCKERFILE = """
FROM busybox AS first
COPY --from=extra note /note
COPY tree /tree
FROM busybox
COPY plain glob* /
COPY deep/down/file /deep
RUN --mount=target=/context cat /context/mounted/file >/seen
COPY --from=first /tree /tree
COPY --from=other /bin/busybox /other
"""


@pytest.fixture
def prepared(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A context with something of each kind, built. Its files count as old enough to be relied upon."""
    monkeypatch.setattr(witness, "_TICK_NS", 0)
    for name in ("plain", "glob1", "tree/a", "tree/sub/b", "mounted/file", "deep/down/file", "ignored/x"):
        workshop.write(name, name)
    (workshop.folder / "tree/link").symlink_to("a")
    workshop.write(".dockerignore", "ignored\n")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/note").write_text("note")
    store = ImageStore(workshop.engine.paths)
    store.tag("busybox", parse_target("other"))
    workshop.write("Dockerfile", _DOCKERFILE)
    return workshop


def _options(workshop: Workshop) -> dict[str, object]:
    return {"additional_contexts": {"extra": str(workshop.folder.parent / "extra")}}


def _is_known(workshop: Workshop) -> bool:
    request = BuildRequest(context=str(workshop.folder), names=("made",), **_options(workshop))  # type: ignore[arg-type]
    return recall_outcome(workshop.engine.paths, request) is not None


def _rewrite(path: Path) -> None:
    """Other content, with the size and time of before."""
    status = path.stat()
    path.write_text(path.read_text()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("sub/b")


def _move_behind_link(path: Path) -> None:
    elsewhere = path.parent.parent / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: _rewrite(folder / "plain"),
    "content below a folder": lambda folder: _rewrite(folder / "tree/sub/b"),
    "content of a mount": lambda folder: _rewrite(folder / "mounted/file"),
    "content of another context": lambda folder: _rewrite(folder.parent / "extra/note"),
    "a link to a folder": lambda folder: _move_behind_link(folder / "deep"),
    "a new file": lambda folder: (folder / "tree/sub/new").write_text(""),
    "a new match": lambda folder: (folder / "glob2").write_text(""),
    "a file that is gone": lambda folder: (folder / "tree/a").unlink(),
    "a mode": lambda folder: (folder / "tree/sub").chmod(0o700),
    "a link": lambda folder: _replace_link(folder / "tree/link"),
    "the Dockerfile": lambda folder: _rewrite(folder / "Dockerfile"),
    "the ignore file": lambda folder: (folder / ".dockerignore").write_text("tree/a\n"),
    "a nearer ignore file": lambda folder: (folder / "Dockerfile.dockerignore").write_text("tree/a\n"),
}


def test_another_release_looks_for_itself(prepared: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared.build(**_options(prepared))
    assert _is_known(prepared)
    monkeypatch.setattr(outcomes, "_release", list)
    assert not _is_known(prepared)


def test_what_cannot_be_remembered_is_built_all_the_same(prepared: Workshop) -> None:
    Path(prepared.engine.paths.build).mkdir(parents=True, exist_ok=True)
    Path(prepared.engine.paths.build, "outcomes").touch()
    assert prepared.build(**_options(prepared)) and not _is_known(prepared)


def test_nothing_is_done_where_nothing_changed(prepared: Workshop) -> None:
    first = prepared.build(**_options(prepared))
    assert set(prepared.cached) == {"done"} and _is_known(prepared)
    assert prepared.build(**_options(prepared)) == first
    assert prepared.cached == ["cached"] * 7
    # What is left out of the context is no part of it.
    _rewrite(prepared.folder / "ignored/x")
    assert _is_known(prepared)
    for name, change in CHANGES.items():
        kept = prepared.folder.parent / "kept"
        shutil.copytree(prepared.folder, kept, symlinks=True)
        change(prepared.folder)
        assert not _is_known(prepared), name
        shutil.rmtree(prepared.folder)
        kept.rename(prepared.folder)
        (prepared.folder.parent / "extra/note").write_text("note")
        # The same once more in other files: steps are found by content, and all is known again.
        assert prepared.build(**_options(prepared)) == first, name
        assert _is_known(prepared), name


def test_what_else_a_build_depends_on(prepared: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageStore(prepared.engine.paths)
    first = prepared.build(**_options(prepared))
    # A name that has moved, an image that is gone, and a base or source that is another one now.
    store.tag("busybox", parse_target("made"))
    assert not _is_known(prepared)
    assert prepared.build(**_options(prepared)) == first and _is_known(prepared)
    prepared.engine.images.remove("made")
    assert not _is_known(prepared)
    prepared.build(**_options(prepared))
    prepared.build("FROM busybox\nRUN echo >/new\n", names=("other",))
    prepared.write("Dockerfile", _DOCKERFILE)
    assert not _is_known(prepared)
    prepared.build(**_options(prepared))
    assert _is_known(prepared)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert not _is_known(prepared)
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    # Steps that were done anew since, or whose records are gone.
    time.sleep(1.1)  # records tell seconds
    prepared.build(no_cache=True, names=("elsewhere",), **_options(prepared))
    assert not _is_known(prepared)
    prepared.build(**_options(prepared))
    assert _is_known(prepared)
    prune_records(prepared.engine.paths, older_than_s=0)
    assert not _is_known(prepared)


def test_what_cannot_be_compared_is_built(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def known() -> bool:
        request = BuildRequest(context=str(workshop.folder), names=("made",))
        return recall_outcome(workshop.engine.paths, request) is not None

    workshop.write("file", "x")
    workshop.build("FROM busybox\nCOPY file /\n")
    assert not known(), "the file may change within the same tick of the clock"
    monkeypatch.setattr(witness, "_TICK_NS", 0)
    workshop.build()
    assert known()
    (workshop.folder / "link").symlink_to("file")
    workshop.build("FROM busybox\nCOPY link /\n")
    assert not known(), "links may lead elsewhere"
