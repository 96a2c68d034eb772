"""What both fuzzers do with an input: load it, print it, load that again. Only deliberate errors may come out."""

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from composer.errors import ComposeError
from composer.load.options import LoadOptions
from composer.load.pipeline import load_project
from composer.output.config_text import render_config
from composer.translate import translate_project


def load_files(files: Mapping[str, bytes]) -> None:
    """Load a project of these files as every command does. Raises whatever is not a ComposeError."""
    with tempfile.TemporaryDirectory(prefix="pycompose-fuzz-") as name:
        for file, content in files.items():
            (Path(name) / file).write_bytes(content)
        with contextlib.suppress(ComposeError):
            load_once(name)


def load_once(folder: str) -> None:
    """Raises ComposeError for a bad project, and AssertionError where what is printed is another one."""
    options = LoadOptions(cwd=folder, environ={"HOME": "/root", "SET": "x"})
    result = load_project(options)
    translate_project(result)
    with contextlib.suppress(ComposeError):  # JSON has no infinity
        render_config(result.tree, format="json")
    text = render_config(result.tree, format="yaml")
    with contextlib.suppress(
        ComposeError
    ):  # some values are only accepted in another form than they are printed in
        again = load_project(options._replace(environ={}, files=("-",), stdin_text=text, profiles=("*",)))
        assert render_config(again.tree, format="yaml") == text
