import json
import sqlite3
import subprocess
import sys

import pytest

from runtime.errors import StateError
from runtime.network.record import Pool, network_from_json
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


def test_many_open_a_new_database_at_once(paths: Paths) -> None:
    opened = "import sys; from runtime import Paths; from runtime.store.database import Database; Database(Paths(*sys.argv[1:]))"
    command = [sys.executable, "-c", opened, paths.data, paths.state]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 8
    assert {process.returncode for process in processes} == {0}


def test_a_database_of_the_version_before_is_brought_up_to_date(paths: Paths) -> None:
    Database(paths).close()
    old = sqlite3.connect(paths.database)
    old.executescript(
        """
        DROP TABLE endpoints;
        CREATE TABLE endpoints (
            container_id TEXT NOT NULL, network_id TEXT NOT NULL, position INTEGER NOT NULL,
            address TEXT NOT NULL, mac TEXT NOT NULL
        );
        INSERT INTO networks VALUES ('n', 'net', 'p', 1, '', '', '10.0.0.0/24',
            '{"id": "n", "name": "net", "subnet": "10.0.0.0/24", "gateway": "10.0.0.1", "ip_range": ""}');
        INSERT INTO containers VALUES ('c', 'c', 'p', 's', 1, 1, '', '', '', '', '{}', '{}', '{}');
        INSERT INTO endpoints VALUES ('c', 'n', 0, '10.0.0.2', '02:42:00:00:00:01');
        PRAGMA user_version = 1;
        """
    )
    old.close()
    database = Database(paths)
    row = database.row("SELECT * FROM endpoints")
    assert row is not None
    assert (row["address"], row["address6"]) == ("10.0.0.2", None)
    row = database.row("SELECT record FROM networks")
    assert row is not None
    record = network_from_json(json.loads(row["record"]))
    assert record.pools == (Pool("10.0.0.0/24", "10.0.0.1"),)
    database.close()
