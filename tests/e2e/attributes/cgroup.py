"""Where the kernel shows a container's limits, whatever the version of its cgroups."""

from pathlib import Path

from runtime import Engine
from tests.project import Project

_ROOT = Path("/sys/fs/cgroup")
UNIFIED = (_ROOT / "cgroup.controllers").exists()


class Limits:
    """The files of one container's cgroup; `parent` as its cgroup_parent says."""

    def __init__(self, project: Project, name: str, parent: str = "") -> None:
        engine = Engine(project.paths.data, project.paths.state)
        container = engine.containers.find(name)
        assert container is not None
        self._path = f"{parent.strip('/') or project.paths.cgroup_parent}/{container.id}"
        engine.close()

    def directory(self, controller: str) -> Path:
        return _ROOT / self._path if UNIFIED else _ROOT / controller / self._path

    def text(self, v1: str, v2: str) -> str:
        """A file by its names in both versions, "memory/memory.limit_in_bytes" and "memory.max"."""
        controller, _, file = v1.partition("/")
        return (self.directory(controller) / (v2 if UNIFIED else file)).read_text().strip()
