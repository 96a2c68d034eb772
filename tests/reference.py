"""The engine that Compose files were written for, where it is installed: by DOCKER_HOST, with Compose."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.project import Project


@contextmanager
def reference_project(folder: Path, image: str) -> Iterator[Project]:
    """A project of `docker compose` in `folder`, whose image `image` the engine has; taken down at the end.

    Skips the test where there is no such engine.
    """
    if not os.environ.get("DOCKER_HOST") or shutil.which("docker") is None:
        pytest.skip("no reference engine: DOCKER_HOST is not set")
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
        pytest.skip(f"no reference engine: it does not answer, or has no image {image}")
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("no reference engine: it has no Compose")
    made = Project.__new__(Project)
    made.folder, made.image, made.ports = folder, image, []
    made.command = ["docker", "compose"]
    made.environ = dict(os.environ)
    made.folder.mkdir()
    try:
        yield made
    finally:
        made.run("down", "-v", "-t", "0")
