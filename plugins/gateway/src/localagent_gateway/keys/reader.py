"""Sees what has changed in the store of keys; for a thread of a worker."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from localagent import StartError
from localagent_gateway.keys import database, pepper
from localagent_gateway.keys.place import left_behind
from localagent_gateway.keys.record import KeyRecord, revoked_in
from localagent_gateway.keys.revocations import Revocations


class KeyReader:
    """Reads the keys again when another process has changed them.

    ``PRAGMA data_version`` says so for a few microseconds (https://sqlite.org/pragma.html#pragma_data_version). A file
    that was replaced or removed is told from it by its identity. What was opened stays open, so that the keys can be
    read also when the process may open nothing more.

    Args:
        folder: The folder of the store, which need not be there yet.

    Attributes:
        pepper: The pepper; empty as long as there are no keys.
        kept: Whether there ever was a store, as far as this reader has seen. Keys are needed from then on.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / database.FILE_NAME
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._seen: tuple[int, dict[str, float]] | None = None
        self._revocations = Revocations(folder)
        self._pepper_file: tuple[int, ...] | None = None
        self.pepper = b""
        self.kept = False

    def changed(self) -> list[KeyRecord] | None:
        """Return all keys; None when nothing has changed since this was asked before.

        Raises:
            StartError: The store, or the pepper, is missing or cannot be read. It is asked anew next time.
        """
        with database.translated(self._path):
            self._follow()
            if self._connection is None:
                self._check_never_kept()
                return []
            self.kept = True
            try:
                return self._read(self._connection)
            finally:
                if self._seen is None:  # a connection that never read anything keeps others out on a full disk
                    self.close()

    def close(self) -> None:
        """Close the store; it may be read again."""
        if self._connection is not None:
            self._connection.close()
        self._revocations.close()
        self._connection, self._file, self._seen = None, None, None

    def _follow(self) -> None:
        """Open the file that is there now, unless it is open."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self.close()
        identity = (found.st_dev, found.st_ino)
        if identity != self._file:
            self.close()
            self._connection = database.opened_to_read(self._folder)
            self._file = identity
        return None

    def _check_never_kept(self) -> None:
        """Check that the store is missing because there never were keys.

        Raises:
            StartError: There were.
        """
        left = left_behind(self._folder)
        if left is not None:
            self.kept = True
            raise StartError(
                f"{self._path} is missing, but {left} tells that there were keys: nobody is let in.",
                mend="Restore it, run: localagent keys create --name NAME, or set require_keys in [plugins.gateway].",
            )

    def _read(self, connection: sqlite3.Connection) -> list[KeyRecord] | None:
        version: int = connection.execute("PRAGMA data_version").fetchone()[0]
        seen = version, self._revocations.read()
        if seen == self._seen:
            return None
        records = database.records(connection)
        if records:
            self._follow_pepper(database.pepper_digest(connection))
        self._seen = seen  # asked before the rows were: a change in between is seen the next time
        return revoked_in(records, seen[1])

    def _follow_pepper(self, known: bytes | None) -> None:
        """Read the pepper, unless the file is the one that was read before."""
        identity = pepper.identity(self._folder)
        if identity is None or identity != self._pepper_file:
            self.pepper, self._pepper_file = pepper.read_pepper(self._folder), identity
        pepper.check_pepper(self._folder, self.pepper, known)
