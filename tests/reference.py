"""The engine that Compose files were written for, where it is installed: by DOCKER_HOST, with Compose."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.project import Project


def need_reference() -> None:
    """Skip the test where there is no reference engine."""
    if not os.environ.get("DOCKER_HOST") or shutil.which("docker") is None:
        pytest.skip("no reference engine: DOCKER_HOST is not set")
    for words in (("version",), ("compose", "version")):
        if subprocess.run(["docker", *words], capture_output=True).returncode:
            pytest.skip(f"no reference engine: `docker {' '.join(words)}` fails")


@contextmanager
def reference_project(folder: Path, image: str) -> Iterator[Project]:
    """A project of `docker compose` in `folder`, whose image the engine has; taken down at the end."""
    need_reference()
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"the reference engine has no image {image}")
    made = Project.__new__(Project)
    made.folder, made.image, made.ports = folder, image, []
    made.command = ["docker", "compose"]
    made.environ = dict(os.environ)
    made.folder.mkdir()
    try:
        yield made
    finally:
        made.run("down", "-v", "-t", "0")
