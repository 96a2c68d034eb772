"""A project in a temporary folder, loaded with a given environment and nothing else."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from composer.load.options import LoadOptions
from composer.load.pipeline import load_project
from composer.load.result import LoadResult

Load = Callable[..., LoadResult]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """`load(yaml, env={...}, files={name: text}, named=-f files, **options)`: a result; the folder is tmp_path/demo."""
    folder = tmp_path / "demo"

    def run(
        text: str | None,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        named: tuple[str, ...] = (),
        **options: Any,
    ) -> LoadResult:
        folder.mkdir(exist_ok=True)
        every = {"compose.yaml": text, **(files or {})} if text is not None else dict(files or {})
        for name, content in every.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return load_project(
            LoadOptions(**{"cwd": str(folder), "environ": env or {}, "files": named, **options})
        )

    return run
