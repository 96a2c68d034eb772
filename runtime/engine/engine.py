"""The container engine as a library: open it, use it, go. There is no daemon behind it."""

import os
from typing import TYPE_CHECKING

from runtime.store.locks import FileLock
from runtime.store.paths import BUILD_PREFIX, DEFAULT_DATA, DEFAULT_STATE, Paths

if TYPE_CHECKING:
    from runtime.build.outcomes import Outcome
    from runtime.build.request import BuildRequest
    from runtime.engine.containers import Containers
    from runtime.engine.images import Images
    from runtime.engine.job import Job, Report
    from runtime.engine.networks import Networks
    from runtime.engine.volumes import Volumes
    from runtime.store.database import Database


class Engine:
    """All containers, images, networks and volumes of one root.

    `data` and `state` default to PYCOMPOSE_ROOT and PYCOMPOSE_STATE, then to the system's folders. An Engine is
    cheap: each part is imported when it is first asked for, and nothing stays open in other processes.
    Raises StateError where the store cannot be used.
    """

    def __init__(self, data: str = "", state: str = "") -> None:
        data = data or os.environ.get("PYCOMPOSE_ROOT") or DEFAULT_DATA
        state = state or os.environ.get("PYCOMPOSE_STATE") or DEFAULT_STATE
        self.paths = Paths(os.path.realpath(data), os.path.realpath(state))
        self._database: Database | None = None
        self._lock: FileLock | None = None
        self._containers: Containers | None = None
        self._networks: Networks | None = None

    @property
    def database(self) -> "Database":
        if self._database is None:
            from runtime.store.database import Database

            self._database = Database(self.paths)
        return self._database

    @property
    def containers(self) -> "Containers":
        if self._containers is None:
            from runtime.engine.containers import Containers

            self._containers = Containers(self)
        return self._containers

    @property
    def images(self) -> "Images":
        from runtime.engine.images import Images

        return Images(self)

    def recall_build(self, request: "BuildRequest") -> "Outcome | None":
        """What a build would give if nothing has changed since the last one; None where it has to be done."""
        from runtime.build.outcomes import recall_outcome

        return recall_outcome(self.paths, request)

    def begin_build(self, request: "BuildRequest") -> "Job":
        """Build an image in a process of its own; the outcome is its id. Nothing is done where nothing has changed."""
        from runtime.engine.job import FinishedJob, Job

        name = f"build {request.names[0] if request.names else request.context}"
        known = self.recall_build(request)
        if known is not None:
            return FinishedJob(name, known.image, known.news)

        def work(report: "Report") -> str:
            from runtime.build.executor import build_image
            from runtime.engine.build_network import build_network

            return build_image(self.paths, request, build_network, report)

        if self._database is not None:
            self._database.release()
        return Job(name, work)

    @property
    def networks(self) -> "Networks":
        if self._networks is None:
            from runtime.engine.networks import Networks

            self._networks = Networks(self)
        return self._networks

    @property
    def volumes(self) -> "Volumes":
        from runtime.engine.volumes import Volumes

        return Volumes(self)

    def project_lock(self, project: str) -> FileLock:
        """The lock that commands changing one project take in turn. It is not yet acquired."""
        os.makedirs(self.paths.locks, mode=0o700, exist_ok=True)
        self._lock = FileLock(f"{self.paths.locks}/project-{project}.lock")
        return self._lock

    def lock_fileno(self) -> int:
        """The descriptor of the project lock that is held, or -1."""
        return self._lock.fileno() if self._lock is not None else -1

    def close(self) -> None:
        """Close the database and let a detached child delete what was discarded."""
        if self._database is not None:
            from runtime.store.trash import sweep_detached

            if self._lock is not None:
                self.containers.drop_empty_cgroups()
                self.images.drop_unused()
                if any(name.startswith(BUILD_PREFIX) for name in os.listdir(self.paths.locks)):
                    from runtime.engine.build_network import remove_abandoned

                    remove_abandoned(self)
            self._database.close()
            self._database = None
            sweep_detached(self.paths)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
