import sqlite3

import pytest

from runtime.errors import StateError
from runtime.store.database import Database
from runtime.store.paths import Paths


def test_a_newer_database_is_refused(paths: Paths) -> None:
    database = Database(paths)
    database.execute("PRAGMA user_version = 999")
    database.close()
    with pytest.raises(StateError, match="version 999"):
        Database(paths)


def test_a_failed_transaction_leaves_nothing(paths: Paths) -> None:
    database = Database(paths)

    def add() -> None:
        database.execute("INSERT INTO volumes VALUES ('v', 'p', 1, 0, '', '{}')")

    with pytest.raises(RuntimeError), database.transaction():
        add()
        raise RuntimeError
    assert database.rows("SELECT * FROM volumes") == []
    add()
    with pytest.raises(sqlite3.IntegrityError):
        add()
    database.close()


def test_a_damaged_database_is_named(paths: Paths) -> None:
    Database(paths).close()
    for suffix in ("-wal", "-shm"):
        try:
            __import__("os").unlink(paths.database + suffix)
        except FileNotFoundError:
            pass
    with open(paths.database, "r+b") as stream:
        stream.write(b"not a database at all" * 50)
    with pytest.raises(StateError, match="damaged"):
        Database(paths)
