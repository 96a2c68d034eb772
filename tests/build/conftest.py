"""A workshop for builds: a store with busybox, a context folder, and looks at what came out."""

import functools
import http.server
import tarfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import BuildRequest, Engine
from runtime.image.archive import import_tar
from runtime.image.store import ImageStore


class Workshop:
    """`write` the context, `build` it, then look at `files` and `config`."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.news: list[dict[str, Any]] = []
        folder.mkdir()

    def write(self, name: str, content: str, mode: int = 0o644) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
        return path

    def build(self, text: str = "", **options: Any) -> str:
        """Build the context with a Dockerfile; the image's id. It is called `made` unless told otherwise."""
        if text:
            self.write("Dockerfile", textwrap.dedent(text).lstrip("\n"))
        self.news = []
        request = BuildRequest(**{"context": str(self.folder), "names": ("made",), **options})
        return str(self.engine.begin_build(request).finish(lambda news: self.news.append(dict(news))))

    @property
    def cached(self) -> list[str]:
        """What the steps of the last build were: cached or done."""
        return [
            item["status"]
            for item in self.news
            if item.get("status") in ("cached", "done") and "step" in item
        ]

    @property
    def output(self) -> str:
        return "\n".join(str(item["output"]) for item in self.news if "output" in item)

    def config(self, name: str = "made") -> dict[str, Any]:
        return dict(self.engine.images.inspect(name)["Config"])

    def files(self, name: str = "made") -> dict[str, tarfile.TarInfo]:
        """Every file of an image, by path."""
        path = self.folder.parent / "exported.tar"
        self.engine.images.export(name, str(path))
        with tarfile.open(path) as tar:
            return {member.name: member for member in tar}

    def text(self, path: str, name: str = "made") -> str:
        """A file's content."""
        self.files(name)
        with tarfile.open(self.folder.parent / "exported.tar") as tar:
            source = tar.extractfile(path)
            assert source is not None
            return source.read().decode()


@pytest.fixture
def workshop(engine: Engine, busybox_tar: Path, tmp_path: Path) -> Iterator[Workshop]:
    import_tar(ImageStore(engine.paths), str(busybox_tar), "busybox", ['CMD ["sh"]'])
    yield Workshop(engine, tmp_path / "context")
    left = [row.name for row in engine.networks.list()]
    assert left == [], f"networks left by builds: {left}"


def serve_files(folder: Path) -> tuple[Callable[[], None], str]:
    """A plain file server: (what stops it, its URL)."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop, f"http://127.0.0.1:{server.server_address[1]}"
