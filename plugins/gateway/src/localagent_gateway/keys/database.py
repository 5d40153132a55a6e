"""The database of keys: SQLite in WAL mode, so that workers can read while a command writes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.errors import StartError
from localagent.settings import create_private_file
from localagent_gateway.keys.key import KeyRecord, separated

if TYPE_CHECKING:
    pass

FILE_NAME = "keys.db"
VERSION = 2  # version 1 used the name as the default tenant, and had no digest of its pepper
BUSY_SECONDS = 5.0

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    models TEXT,
    limits TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    revoked REAL
) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX IF NOT EXISTS keys_in_use ON keys (name) WHERE revoked IS NULL",
    "CREATE TABLE IF NOT EXISTS pepper (digest BLOB NOT NULL)",
)
COLUMNS = "id, digest, name, tenant, models, limits, created, expires, revoked"


class Unusable(StartError):
    """The file cannot be used now: the disk is full, or another process is writing."""


def opened(folder: Path) -> sqlite3.Connection:
    """Open the store for changes, and create it if it does not exist; only this user may read it.

    Raises:
        StartError: The store cannot be created or opened.
    """
    path = folder / FILE_NAME
    with translated(path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        create_private_file(path)
        return _connected(path, _prepare)


def opened_to_read(folder: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Open the store for reading; any thread may use it, but only one at a time.

    Args:
        folder: The folder of the store.
        alone: Whether to lock out all other processes. SQLite then needs no space on the disk.

    Raises:
        StartError: The store does not exist or cannot be opened.
    """

    def prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = ON")
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    path = folder / FILE_NAME
    with translated(path):
        return _connected(path, prepare)


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
    if _version(connection) < VERSION:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            known = records(connection)
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.executemany("UPDATE keys SET tenant = ? WHERE id = ?", [(one.tenant, one.id) for one in known])
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise StartError("The store of keys was written by a newer version.", hint="Upgrade: localagent-gateway")
    return version


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit the changes of the context together, or none of them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # SQLite has already ended some failed transactions
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def row(record: KeyRecord) -> tuple[object, ...]:
    """Return the row of a key, in the order of ``COLUMNS``."""
    models = None if record.models is None else _text(sorted(record.models))
    return (
        record.id, record.digest, record.name, record.tenant, models, _text(record.limits),
        record.created, record.expires, record.revoked,
    )  # fmt: skip


def records(connection: sqlite3.Connection) -> list[KeyRecord]:
    """Return all keys, including expired and revoked ones, in the order of their creation.

    Raises:
        StartError: A newer version has written the store.
    """
    version = _version(connection)
    if version == 0:  # it is being created, and has no table yet
        return []
    rows = connection.execute(f"SELECT {COLUMNS} FROM keys ORDER BY created, id").fetchall()
    found = [_record(values) for values in rows]
    return separated(found) if version == 1 else found


def pepper_digest(connection: sqlite3.Connection) -> bytes | None:
    """Return the digest of the pepper with which the keys were created; None if it was not stored."""
    if _version(connection) < VERSION:
        return None
    row = connection.execute("SELECT digest FROM pepper").fetchone()
    return None if row is None else bytes(row[0])


def keep_pepper_digest(connection: sqlite3.Connection, digest: bytes) -> None:
    """Store the digest of the pepper with which keys are created from now on."""
    connection.execute("DELETE FROM pepper")
    connection.execute("INSERT INTO pepper (digest) VALUES (?)", (digest,))


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
    """Turn the errors of files and of SQLite into one-sentence errors.

    Raises:
        StartError: Replaces such an error.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unusable(f"{path} cannot be used: {error}.",
                       hint="Free some space, or try again; see: localagent doctor") from error  # fmt: skip
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise StartError(
            f"{path} is damaged: {error}.", hint="Restore it, or delete it and create new keys."
        ) from error
    except OSError as error:
        raise Unusable(f"{path} cannot be used: {error.strerror}.",
                       hint="Free some space, or set state_folder in the settings.") from error  # fmt: skip


def left_behind(folder: Path) -> Path | None:
    """Return a file that shows that keys were created; None if there is no such file.

    Args:
        folder: The gateway's folder.

    Raises:
        OSError: The folder cannot be read.
    """
    return next(
        (folder / name for name in ("keys.db", "pepper", "revocations", "keys.db-wal") if _is_there(folder / name)),
        None,
    )


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True
