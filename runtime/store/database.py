"""The index of objects and allocations: one SQLite database in DATA.

Uniqueness of names and addresses is the database's. A change of several steps marks its row with an intent
first ("creating", "removing"), so that whoever comes next can undo or finish it. Only commands open the
database, never a shim.

    containers   one row per container; `desired` is what the user wants of it (created, running, stopped)
    endpoints    which container has which address in which network
    networks     one row per network; `record` is the JSON of network.record.NetworkRecord
    volumes      one row per named or anonymous volume
    mounts       which container uses which volume where
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.errors import StateError
from runtime.store.paths import Paths

SCHEMA_VERSION = 2
_TIMEOUT_S = 30.0  # how long a command waits for another one's transaction

_SCHEMA = """
CREATE TABLE containers (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, service TEXT NOT NULL,
    number INTEGER NOT NULL, created_ns INTEGER NOT NULL, desired TEXT NOT NULL, intent TEXT NOT NULL,
    config_hash TEXT NOT NULL, image_id TEXT NOT NULL, spec TEXT NOT NULL, image TEXT NOT NULL,
    fields TEXT NOT NULL
);
CREATE INDEX containers_project ON containers (project);
CREATE TABLE networks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT NOT NULL, created_ns INTEGER NOT NULL,
    intent TEXT NOT NULL, config_hash TEXT NOT NULL, subnet TEXT NOT NULL, record TEXT NOT NULL
);
CREATE TABLE endpoints (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    network_id TEXT NOT NULL REFERENCES networks (id),
    position INTEGER NOT NULL, address TEXT, address6 TEXT, mac TEXT NOT NULL,
    PRIMARY KEY (container_id, network_id), UNIQUE (network_id, address), UNIQUE (network_id, address6)
);
CREATE TABLE volumes (
    name TEXT PRIMARY KEY, project TEXT NOT NULL, created_ns INTEGER NOT NULL, anonymous INTEGER NOT NULL,
    config_hash TEXT NOT NULL, labels TEXT NOT NULL
);
CREATE TABLE mounts (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    volume TEXT NOT NULL REFERENCES volumes (name), target TEXT NOT NULL,
    PRIMARY KEY (container_id, target)
);
CREATE INDEX mounts_volume ON mounts (volume);
"""


# What brings a database of the version before up to date.
_MIGRATIONS = {
    1: """
CREATE TABLE endpoints_2 (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    network_id TEXT NOT NULL REFERENCES networks (id),
    position INTEGER NOT NULL, address TEXT, address6 TEXT, mac TEXT NOT NULL,
    PRIMARY KEY (container_id, network_id), UNIQUE (network_id, address), UNIQUE (network_id, address6)
);
INSERT INTO endpoints_2 SELECT container_id, network_id, position, address, NULL, mac FROM endpoints;
DROP TABLE endpoints;
ALTER TABLE endpoints_2 RENAME TO endpoints;
UPDATE networks SET record = json_remove(
    json_set(record, '$.pools', json_array(json_array(
        json_extract(record, '$.subnet'), json_extract(record, '$.gateway'), json_extract(record, '$.ip_range')))),
    '$.subnet', '$.gateway', '$.ip_range');
""",
}


class Database:
    """A connection to the index. `exists` is False where nothing was ever made in this root."""

    __slots__ = ("_open", "_paths")

    def __init__(self, paths: Paths) -> None:
        """Open the database, making it and its folder at first use.

        Raises StateError where it is damaged, newer than this version, or not ours to open.
        """
        self._paths = paths
        self._open: sqlite3.Connection | None = None
        self._connect()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._open or self._connect()

    def _connect(self) -> sqlite3.Connection:
        paths = self._paths
        try:
            os.makedirs(paths.data, mode=0o711, exist_ok=True)
            self._open = sqlite3.connect(paths.database, timeout=_TIMEOUT_S, isolation_level=None)
            self._open.row_factory = sqlite3.Row
            self._prepare()
            return self._open
        except PermissionError as error:
            raise StateError(f"cannot use {paths.data}: {error.strerror}", hint="run as root") from error
        except sqlite3.OperationalError as error:
            raise StateError(f"cannot open {paths.database}: {error}", hint="run as root") from error
        except sqlite3.DatabaseError as error:
            raise StateError(f"{paths.database} is damaged: {error}") from error

    def release(self) -> None:
        """Close the connection until it is used again.

        For the time of a fork whose child opens the database itself: SQLite would take up there what it remembers of
        its parent's locks and descriptors, which are not the child's (sqlite.org/howtocorrupt.html, 2.6).
        """
        if self._open is not None:
            self._open.close()
            self._open = None

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StateError(
                f"{self._paths.database} has version {version}; this release knows {SCHEMA_VERSION}",
                hint="install the newer pycompose again",
            )
        # NORMAL in WAL mode: a power cut may lose the last transactions but never the consistency.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        if version == 0:
            os.chmod(self._paths.database, 0o600)
            self._use_wal()
        if version < SCHEMA_VERSION:
            with self.transaction():
                self._upgrade()

    def _use_wal(self) -> None:
        """Switch to WAL mode; where somebody else is at it this moment SQLite does not wait, whatever its time-out."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _upgrade(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        steps = [_SCHEMA] if version == 0 else [_MIGRATIONS[step] for step in range(version, SCHEMA_VERSION)]
        for statement in ";".join(steps).split(";"):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE … COMMIT; ROLLBACK on any exception."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def execute(self, statement: str, *values: str | int | None) -> int:
        """Run one statement; the number of rows it changed. Raises sqlite3.IntegrityError."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, *values: str | int) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: str | int) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def close(self) -> None:
        self.release()
