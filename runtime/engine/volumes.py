"""Volumes of an engine: folders that outlive containers."""

import json
import os
import sqlite3
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, NamedTuple

from runtime.errors import ConflictError, NotFoundError
from runtime.volume.store import VolumeStore

if TYPE_CHECKING:
    from runtime.engine.engine import Engine


class VolumeRow(NamedTuple):
    """A volume as the index has it. `folder` holds its content."""

    name: str
    project: str
    created_ns: int
    anonymous: bool
    config_hash: str
    labels: dict[str, str]
    folder: str


class Volumes:
    """The volumes of one engine."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._store = VolumeStore(engine.paths)
        self._database = engine.database

    def list(self, project: str | None = None) -> list[VolumeRow]:
        """All volumes, or those of one project, by name."""
        if project is None:
            rows = self._database.rows("SELECT * FROM volumes ORDER BY name")
        else:
            rows = self._database.rows("SELECT * FROM volumes WHERE project = ? ORDER BY name", project)
        return [self._row(row) for row in rows]

    def _row(self, row: sqlite3.Row) -> VolumeRow:
        return VolumeRow(
            name=row["name"],
            project=row["project"],
            created_ns=row["created_ns"],
            anonymous=bool(row["anonymous"]),
            config_hash=row["config_hash"],
            labels=dict(json.loads(row["labels"])),
            folder=self.folder(row["name"]),
        )

    def exists(self, name: str) -> bool:
        return self._database.row("SELECT 1 FROM volumes WHERE name = ?", name) is not None

    def folder(self, name: str) -> str:
        """Where a volume's content lies."""
        return self._store.data(name)

    def options(self, name: str) -> dict[str, str]:
        """A volume's driver_opts."""
        return self._store.options(name)

    def settled(self, name: str) -> str:
        """A volume's folder, to read all its content from.

        Raises InvalidError if its content is somewhere else (driver_opts), OSError.
        """
        return self._store.settled(name)

    def users(self, name: str) -> tuple[str, ...]:
        """Names of the containers that mount a volume."""
        rows = self._database.rows(
            "SELECT DISTINCT name FROM containers JOIN mounts ON container_id = id WHERE volume = ?", name
        )
        return tuple(row["name"] for row in rows)

    def create(
        self,
        name: str,
        *,
        project: str = "",
        config_hash: str = "",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> None:
        """Make a volume; one that exists is left as it is. `options` are those of the driver `local`.

        Raises InvalidError for a name or an option that cannot be.
        """
        if not self.exists(name):
            self._store.create(name, options)
        self._database.execute(
            "INSERT OR IGNORE INTO volumes VALUES (?, ?, ?, ?, ?, ?)",
            name,
            project,
            time.time_ns(),
            int(anonymous),
            config_hash,
            json.dumps(dict(labels or {})),
        )

    def create_anonymous(self, *, project: str = "", labels: Mapping[str, str] | None = None) -> str:
        """Make a volume with a name of its own, which is returned."""
        name = os.urandom(32).hex()
        self.create(name, project=project, labels=labels, anonymous=True)
        return name

    def fill_from(self, name: str, archive: IO[bytes]) -> None:
        """Fill a volume, which is made if it is not there, from a tar. It has all of that or nothing.

        Raises ConflictError for one that has content or is in use by a running container, ImageError, OSError.
        """
        from runtime.engine.transfer import unpack_archive

        made = not self.exists(name)
        self.create(name)
        self._refuse_live_users(name)

        def make(folder: str) -> None:
            unpack_archive(archive, folder)
            self._refuse_live_users(name)  # those that were started meanwhile

        try:
            self._store.replace_empty(name, make)
        except BaseException:
            if made and not self.users(name):
                self.remove(name)
            raise

    def _refuse_live_users(self, name: str) -> None:
        live = [item.name for item in self._engine.containers.list() if item.is_live]
        users = [user for user in self.users(name) if user in live]
        if users:
            raise ConflictError(f"volume {name} is in use by {', '.join(users[:5])}", hint="stop these first")

    def check_removable(self, name: str) -> None:
        """Raises NotFoundError, and ConflictError while a container uses the volume."""
        if not self.exists(name):
            raise NotFoundError(f"no such volume: {name}")
        users = self.users(name)
        if users:
            raise ConflictError(
                f"volume {name} is in use by {', '.join(users[:5])}", hint="remove these first"
            )

    def remove(self, name: str) -> None:
        """Remove a volume with all its content. Raises NotFoundError, ConflictError while a container uses it."""
        self.check_removable(name)
        self._database.execute("DELETE FROM volumes WHERE name = ?", name)
        if self._store.exists(name):
            self._store.remove(name)
