"""One service with one attribute, loaded, printed and loaded again."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from composer.errors import LoadError
from composer.load.options import LoadOptions
from composer.load.pipeline import load_project
from composer.load.result import LoadResult
from composer.model.project import Project
from composer.model.service import Service
from composer.output.config_text import render_config

_OUTSIDE: Mapping[str, Any] = {"config_files": (), "working_dir": "", "inactive": {}}


class Loaded(NamedTuple):
    """What was loaded: `printed` is the service as `config` prints it, `service` the typed one."""

    result: LoadResult
    printed: Mapping[str, Any]
    service: Service

    @property
    def tree(self) -> Mapping[str, Any]:
        return self.result.tree

    @property
    def project(self) -> Project:
        return self.result.project


Given = Callable[..., Loaded]


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """`given("user: root", rest="volumes: …", over="user: x", env={…}, files={…})`: service `a` with these attributes.

    `over` is the service in an override file. Whatever was printed as YAML and JSON has loaded to the same again, and
    so has the project written by itself.
    """
    folder = tmp_path / "demo"
    folder.mkdir()

    def load(
        attributes: str,
        rest: str = "",
        over: str = "",
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        json: bool = True,  # False where the reference's own JSON is refused by it
    ) -> Loaded:
        texts = {"compose.yaml": _file(attributes, rest), **(files or {})}
        if over:
            texts["compose.override.yaml"] = _file(over, "", image=False)
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        result = load_project(LoadOptions(cwd=str(folder), environ={"HOME": "/home/me", **(env or {})}))
        _check_reload(result, folder, ("yaml", "json") if json else ("yaml",))
        return Loaded(result, result.tree["services"]["a"], result.project.services["a"])

    return load


@pytest.fixture
def refused(given: Given) -> Callable[..., str]:
    """Like `given`, for what must be refused: the messages, a line each, `path: message`."""

    def load(*arguments: str, **options: Any) -> str:
        with pytest.raises(LoadError) as caught:
            given(*arguments, **options)
        assert all(problem.origin is not None for problem in caught.value.problems)
        return "\n".join(f"{problem.path}: {problem.message}" for problem in caught.value.problems)

    return load


def _file(attributes: str, rest: str, image: bool = True) -> str:
    lines = attributes.strip("\n").split("\n")
    own = (
        ["image: i"]
        if image and not any(line.startswith(("image:", "build:", "provider:")) for line in lines)
        else []
    )
    body = "\n".join(f"    {line}" for line in [*own, *lines])
    return f"services:\n  a:\n{body}\n{rest}\n"


def _check_reload(result: LoadResult, folder: Path, styles: tuple[str, ...]) -> None:
    project = dataclasses.replace(result.project, **_OUTSIDE)
    for style in styles:
        again = _load_text(render_config(result.tree, format=style), folder)
        if style == "yaml":
            assert again.tree == result.tree
        assert list(again.tree["services"]) == sorted(result.tree["services"])
    for text in (project.to_yaml(), project.to_json()):
        assert dataclasses.replace(_load_text(text, folder).project, **_OUTSIDE) == project


def _load_text(text: str, folder: Path) -> LoadResult:
    return load_project(
        LoadOptions(cwd=str(folder), environ={}, files=("-",), stdin_text=text, profiles=("*",))
    )
