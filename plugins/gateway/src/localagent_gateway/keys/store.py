"""What commands do with keys: make, list and revoke them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs

from localagent import Secret, StartError
from localagent_gateway.keys import database
from localagent_gateway.keys.form import PREFIX, digest, new_key, public_id
from localagent_gateway.keys.pepper import made_pepper, read_pepper
from localagent_gateway.keys.record import KeyRecord


class KeyStore:
    """The keys of one folder.

    Args:
        folder: The plugin's folder in the state folder; made when the first key is.
        wall: Returns the seconds since the epoch.
    """

    def __init__(self, folder: Path, wall: Callable[[], float]) -> None:
        self._folder = folder
        self._wall = wall
        self._path = folder / database.FILE_NAME

    def create(
        self,
        name: str = "",
        *,
        tenant: str = "",
        models: Sequence[str] | None = None,
        limits: Mapping[str, float] | None = None,
        expires: float | None = None,
    ) -> tuple[KeyRecord, Secret]:
        """Make a key. It is returned once and kept nowhere.

        Args:
            name: What people call it; its public id, if none is given.
            tenant: Whose caches, limits and figures its calls share; its name, if none is given.
            models: The models that it may use; None means all.
            limits: Numbers by name, for limit plugins.
            expires: When it ends, in seconds since the epoch; None for never.

        Raises:
            StartError: The name is in use, or the store cannot be written.
        """
        id, key = new_key()
        allowed = None if models is None else frozenset(models)
        with closing(database.opened(self._folder)) as connection, database.translated(self._path):
            record = KeyRecord(
                id=id, digest=digest(self._pepper(connection), key.reveal()), name=name or id,
                tenant=tenant or name or id, models=allowed, limits=limits or {}, created=self._wall(), expires=expires,
            )  # fmt: skip
            self._insert(connection, record)
        return record, key

    def records(self) -> list[KeyRecord]:
        """Return all keys, those that are over included; none where there is no store.

        Raises:
            StartError: The store cannot be read.
        """
        if not self._path.exists():
            return []
        with closing(database.opened_to_read(self._folder)) as connection, database.translated(self._path):
            return database.records(connection)

    def revoke(self, which: str) -> KeyRecord:
        """Revoke a key: no worker lets it in a second later. What was under way goes on.

        Args:
            which: Its name, its public id, or the key itself.

        Raises:
            StartError: There is no such key, or it was revoked before.
        """
        found = self._found(which)
        revoked = attrs.evolve(found, revoked=self._wall())
        with closing(database.opened(self._folder)) as connection, database.translated(self._path):
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (revoked.revoked, revoked.id))
        return revoked

    def _pepper(self, connection: sqlite3.Connection) -> bytes:
        """Return the pepper; a lost one is not replaced as long as there are keys that need it."""
        if connection.execute("SELECT 1 FROM keys LIMIT 1").fetchone():
            return read_pepper(self._folder)
        return made_pepper(self._folder)

    def _insert(self, connection: sqlite3.Connection, record: KeyRecord) -> None:
        marks = ", ".join("?" * len(database.row(record)))
        try:
            connection.execute(f"INSERT INTO keys ({database.COLUMNS}) VALUES ({marks})", database.row(record))
        except sqlite3.IntegrityError:
            mend = f"Choose another name, or run: localagent keys revoke {record.name}"
            raise StartError(f"There is a key named {record.name} already.", mend=mend) from None

    def _found(self, which: str) -> KeyRecord:
        known = self.records()
        id = public_id(which) or which
        matching = [one for one in known if one.id == id] or [one for one in known if one.name == which]
        if not matching:
            shown = "like that" if which.startswith(PREFIX) else f"named {which}"  # a key is never shown again
            raise StartError(f"There is no key {shown}.", mend="See: localagent keys list")
        in_use = [one for one in matching if one.revoked is None]
        if not in_use:
            raise StartError(f"The key {matching[0].name} was revoked before.", mend="See: localagent keys list")
        return in_use[0]
