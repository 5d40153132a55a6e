"""The operations of commands on keys: create, list and revoke them, and check their files (``localagent doctor``)."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import time as wall_time

import attrs

from localagent import Secret
from localagent.errors import StartError
from localagent_cli import Finding, broken, open_to_others
from localagent_gateway.keys import database, revocations
from localagent_gateway.keys.database import left_behind
from localagent_gateway.keys.key import (
    PEPPER_FILE,
    PREFIX,
    KeyRecord,
    check_pepper,
    digest,
    made_pepper,
    new_key,
    pepper_digest,
    public_id,
    read_pepper,
    revoked_in,
)
from localagent_gateway.keys.live_keys import KeyReader
from localagent_gateway.keys.revocations import Revocations
from localagent_gateway.settings import GatewaySettings

SUBJECT = "gateway keys"
FILES = (database.FILE_NAME, f"{database.FILE_NAME}-wal", f"{database.FILE_NAME}-shm", PEPPER_FILE,
         revocations.FILE_NAME)  # fmt: skip


class KeyStore:
    """The keys of one folder.

    Args:
        folder: The plugin's folder in the state folder; created with the first key.
        wall_time: Returns the seconds since the epoch.
    """

    def __init__(self, folder: Path, wall_time: Callable[[], float]) -> None:
        self._folder = folder
        self._wall_time = wall_time
        self._path = folder / database.FILE_NAME
        self._revocations = Revocations(folder)

    def exists(self) -> bool:
        """Return whether a key was ever created here."""
        return self._path.exists() or left_behind(self._folder) is not None

    def create(
        self,
        name: str = "",
        *,
        tenant: str = "",
        models: Sequence[str] | None = None,
        limits: Mapping[str, float] | None = None,
        expires: float | None = None,
    ) -> tuple[KeyRecord, Secret]:
        """Create a key. The key itself is returned once and not stored.

        Args:
            name: Its name; by default its public id.
            tenant: The tenant whose caches, limits and figures its calls share; by default a tenant of its own.
            models: The models that it may use; None means all.
            limits: Numbers by name, for limit plugins.
            expires: When it expires, in seconds since the epoch; None for never.

        Raises:
            StartError: The name is in use, or the store cannot be written.
        """
        id, key = new_key()
        allowed = None if models is None else frozenset(models)
        with self._changing() as connection:
            self._revocations.prepare()
            pepper = self._pepper(connection)
            record = KeyRecord(
                id=id, digest=digest(pepper, key.reveal()), name=name or id,
                tenant=tenant or id, models=allowed, limits=limits or {}, created=self._wall_time(), expires=expires,
            )  # fmt: skip
            with database.transaction(connection):
                self._insert(connection, record)
                database.keep_pepper_digest(connection, pepper_digest(pepper))
        return record, key

    def records(self) -> list[KeyRecord]:
        """Return all keys, including expired and revoked ones; an empty list if there is no store.

        Raises:
            StartError: The store cannot be read.
        """
        if not self._path.exists():
            return []
        try:
            return self._records()
        except database.Unusable:  # on a full disk SQLite can read only if no other process does
            return self._records(alone=True)

    def revoke(self, which: str) -> KeyRecord:
        """Revoke a key: all workers refuse it within a second. Requests in progress continue.

        If the database cannot be written, for example because the disk is full, the revocation goes to a separate file.

        Args:
            which: Its name, its public id, or the key itself.

        Raises:
            StartError: The key does not exist, is already revoked, or the revocation cannot be stored.
        """
        found = self._found(which)
        now = self._wall_time()
        try:
            with self._changing() as connection:
                self._write_revocation(connection, found.id, now)
        except database.Unusable as error:
            self._write_beside(found.id, now, error)
        return attrs.evolve(found, revoked=now)

    def _records(self, *, alone: bool = False) -> list[KeyRecord]:
        with (
            closing(database.opened_to_read(self._folder, alone=alone)) as connection,
            closing(self._revocations),
            database.translated(self._path),
        ):
            return revoked_in(database.records(connection), self._revocations.read())

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Open the database, and move the revocations from the separate file into it."""
        with (
            closing(database.opened(self._folder)) as connection,
            closing(self._revocations),
            database.translated(self._path),
        ):
            beside = self._revocations.read()
            for id, revoked in beside.items():
                self._write_revocation(connection, id, revoked)
            if beside:
                self._revocations.remove(beside)
            yield connection

    def _write_revocation(self, connection: sqlite3.Connection, id: str, revoked: float) -> None:
        connection.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (revoked, id))

    def _write_beside(self, id: str, revoked: float, error: StartError) -> None:
        """Store a revocation that could not be written to the database."""
        try:
            self._revocations.prepare()
            self._revocations.add(id, revoked)
        except OSError:
            raise error from None

    def _pepper(self, connection: sqlite3.Connection) -> bytes:
        """Return the pepper; a lost one is not replaced as long as keys need it."""
        if not connection.execute("SELECT 1 FROM keys LIMIT 1").fetchone():
            return made_pepper(self._folder)
        pepper = read_pepper(self._folder)
        check_pepper(self._folder, pepper, database.pepper_digest(connection))
        return pepper

    def _insert(self, connection: sqlite3.Connection, record: KeyRecord) -> None:
        marks = ", ".join("?" * len(database.row(record)))
        try:
            connection.execute(f"INSERT INTO keys ({database.COLUMNS}) VALUES ({marks})", database.row(record))
        except sqlite3.IntegrityError:
            hint = f"Choose another name, or run: localagent keys revoke {record.name}"
            raise StartError(f"A key named {record.name} already exists.", hint=hint) from None

    def _found(self, which: str) -> KeyRecord:
        known = self.records()
        id = public_id(which) or which
        matching = [one for one in known if one.id == id] or [one for one in known if one.name == which]
        if not matching:
            # A key itself is never shown again.
            problem = "This key does not exist." if which.startswith(PREFIX) else f"No key is named {which}."
            raise StartError(problem, hint="See: localagent keys list")
        in_use = [one for one in matching if one.revoked is None]
        if not in_use:
            raise StartError(f"The key {matching[0].name} is already revoked.", hint="See: localagent keys list")
        return in_use[0]


def diagnosis(folder: Path, settings: GatewaySettings) -> list[Finding]:
    """Check the files of keys, without creating any.

    Args:
        folder: The gateway's folder in the state folder.
        settings: The gateway's settings.
    """
    return [*_readable(folder), *_replaceable(folder), *_of_keys(folder, settings)]


def _readable(folder: Path) -> Iterator[Finding]:
    for path in (folder / name for name in FILES):
        if os.name == "posix" and path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Finding("broken", SUBJECT, f"Other users may read {path}, or write to it.", f"Run: chmod 600 {path}")


def _replaceable(folder: Path) -> Iterator[Finding]:
    place = open_to_others(folder.absolute()) if folder.exists() else None
    if place is not None:
        yield Finding("broken", SUBJECT, f"Other users may replace the keys: they may write to {place}.",
                      f"Run: chmod go-w {place}")  # fmt: skip


def _of_keys(folder: Path, settings: GatewaySettings) -> Iterator[Finding]:
    with closing(KeyReader(folder)) as reader:
        try:
            records = reader.changed() or []
        except StartError as error:
            yield broken(SUBJECT, error)
            return
    good = sum(record.state(wall_time()) == "active" for record in records)
    if good:
        yield Finding("ok", SUBJECT, f"{good} of {len(records)} are valid.")
    elif reader.kept and settings.require_keys != "never":
        yield Finding("warn", SUBJECT, "No valid key is left, so the gateway refuses all requests.",
                      "Run: localagent keys create --name NAME")  # fmt: skip
