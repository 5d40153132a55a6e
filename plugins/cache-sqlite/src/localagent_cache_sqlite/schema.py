"""The file: its tables, its connections, and the lock for creating or replacing it.

SQLite in WAL mode: any number of readers and one writer at a time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localagent.settings import create_private_file

VERSION = 2
FILE_NAME = f"answers-{VERSION}.db"  # one file per version, so two versions can run side by side
APPLICATION = 0x4C414331  # "LAC1"; PRAGMA application_id
OLDEST = (3, 35, 0)  # the first SQLite with UPDATE FROM and RETURNING
BUSY_SECONDS = 2.0  # that a writer waits for writers of other processes
PAUSE_SECONDS = 0.005  # between two attempts to get a lock for which neither SQLite nor the system waits
WAL_LIMIT = 16 * 2**20  # bytes that the WAL file keeps after a checkpoint

# An entry and its answer are separate rows, so counting a hit does not write the answer again. Triggers update the
# totals for the limits in the same transaction, so they are always consistent with the entries.
SCHEMA = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, digest BLOB NOT NULL, checked BLOB NOT NULL, length INTEGER NOT NULL, model TEXT NOT NULL,
    tenant TEXT NOT NULL, made REAL NOT NULL, size INTEGER NOT NULL, queue INTEGER NOT NULL, place INTEGER NOT NULL,
    uses INTEGER NOT NULL DEFAULT 0, hits INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX entries_in_turn ON entries (queue, place);
CREATE INDEX entries_by_age ON entries (made);
CREATE TABLE answers (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE ghosts (id INTEGER PRIMARY KEY, place INTEGER NOT NULL);
CREATE INDEX ghosts_in_turn ON ghosts (place);
CREATE TABLE totals (queue INTEGER PRIMARY KEY, entries INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE counts (
    model TEXT, tenant TEXT, hits INTEGER DEFAULT 0, misses INTEGER DEFAULT 0, stored INTEGER DEFAULT 0,
    evicted INTEGER DEFAULT 0, expired INTEGER DEFAULT 0, too_large INTEGER DEFAULT 0, PRIMARY KEY (model, tenant)
) WITHOUT ROWID;
INSERT INTO totals VALUES (0, 0, 0), (1, 0, 0);
CREATE TRIGGER entry_came AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, size = size + new.size WHERE queue = new.queue;
END;
CREATE TRIGGER entry_went AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, size = size - old.size WHERE queue = old.queue;
    DELETE FROM answers WHERE id = old.id;
END;
CREATE TRIGGER entry_moved AFTER UPDATE OF queue, size ON entries BEGIN
    UPDATE totals SET entries = entries - 1, size = size - old.size WHERE queue = old.queue;
    UPDATE totals SET entries = entries + 1, size = size + new.size WHERE queue = new.queue;
END;
"""


def writer(path: Path) -> sqlite3.Connection:
    """Open the file for changes, and create it if it is missing; only this user may read it.

    Raises:
        sqlite3.Error: It cannot be opened, or is not a file of this cache.
        OSError: It cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    create_private_file(path)
    connection = _connected(path, BUSY_SECONDS)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading. A read never waits for another connection; it raises instead.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    connection = _connected(path, 0.0)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connected(path: Path, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=timeout, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip


def _prepare(connection: sqlite3.Connection) -> None:
    if _version(connection) != VERSION:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        switch_to_wal(connection)
        with transaction(connection):
            if _version(connection) != VERSION:  # another process may have been faster
                _create(connection)
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise sqlite3.DatabaseError("it is a database of another application")
    # A crash of the machine may lose the last writes, never the file: https://sqlite.org/pragma.html#pragma_synchronous
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")


def switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode. Waits for other writers, because SQLite itself ignores the timeout here.

    Raises:
        sqlite3.OperationalError: Other connections take too long.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(PAUSE_SECONDS)


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _create(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise sqlite3.DatabaseError("it is a database of another application")
    statement = ""
    for line in SCHEMA.splitlines():  # executescript would commit first
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run all changes in one transaction; there is one writer at a time over all processes.

    Raises:
        sqlite3.Error: Nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def locked(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of a folder: one process at a time may create, replace or set aside the file in it.

    The system releases the lock when the process ends.

    Args:
        folder: The folder. The folder is locked and not a file, because a file could be replaced.
        seconds: How long to wait for other processes.

    Raises:
        OSError: The folder cannot be opened, or the lock cannot be acquired in time.
    """
    if os.name != "posix":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, time.monotonic() + seconds)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    import fcntl

    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError("another process is opening it") from None
        time.sleep(PAUSE_SECONDS)
