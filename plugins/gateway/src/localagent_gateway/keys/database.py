"""The file in which keys are kept: SQLite in WAL mode, so that workers read while a command writes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from localagent import StartError
from localagent_gateway.keys.record import KeyRecord

FILE_NAME = "keys.db"
VERSION = 1
BUSY_SECONDS = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    models TEXT,
    limits TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    revoked REAL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS keys_in_use ON keys (name) WHERE revoked IS NULL;
"""
COLUMNS = "id, digest, name, tenant, models, limits, created, expires, revoked"


def opened(folder: Path) -> sqlite3.Connection:
    """Open the store for changes, made if need be; only this user may read it.

    Raises:
        StartError: It cannot be made or opened.
    """
    path = folder / FILE_NAME
    with translated(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # the files that SQLite puts beside it take its mode
        return _connected(path, _prepare)


def opened_to_read(folder: Path) -> sqlite3.Connection:
    """Open the store for reading; for use by one thread at a time, whichever it is.

    Raises:
        StartError: It is not there, or cannot be opened.
    """
    path = folder / FILE_NAME
    with translated(path):
        return _connected(path, lambda connection: connection.execute("PRAGMA query_only = ON"))


def _connected(path: Path, prepare: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None,
        check_same_thread=False,
    )  # fmt: skip
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StartError("The store of keys was made by a newer version.", mend="Upgrade: localagent-gateway")
    if version < VERSION:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def row(record: KeyRecord) -> tuple[object, ...]:
    """Return the row of a key, in the order of ``COLUMNS``."""
    models = None if record.models is None else _text(sorted(record.models))
    return (
        record.id, record.digest, record.name, record.tenant, models, _text(record.limits),
        record.created, record.expires, record.revoked,
    )  # fmt: skip


def records(connection: sqlite3.Connection) -> list[KeyRecord]:
    """Return all keys, those that are over included, in the order in which they were made."""
    return [_record(values) for values in connection.execute(f"SELECT {COLUMNS} FROM keys ORDER BY created, id")]


def _record(values: Sequence[Any]) -> KeyRecord:
    id, digest, name, tenant, models, limits, *times = values
    allowed = None if models is None else frozenset(msgspec.json.decode(models, type=list[str]))
    return KeyRecord(
        id, digest, name, tenant, allowed, msgspec.json.decode(limits, type=dict[str, int | float]), *times
    )


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Make the errors of files and of SQLite a sentence.

    Raises:
        StartError: What the work raised.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StartError(f"{path} cannot be used: {error}.", mend="Try again; see: localagent doctor") from error
    except (sqlite3.DatabaseError, msgspec.MsgspecError) as error:
        raise StartError(
            f"{path} is damaged: {error}.", mend="Restore it, or delete it and create new keys."
        ) from error
    except OSError as error:
        raise StartError(f"{path} cannot be made: {error.strerror}.",
                         mend="Free some space, or set state_folder in the settings.") from error  # fmt: skip
