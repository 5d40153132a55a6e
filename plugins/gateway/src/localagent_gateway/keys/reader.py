"""Sees what has changed in the store of keys; for a thread of a worker."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from localagent_gateway.keys import database
from localagent_gateway.keys.pepper import read_pepper
from localagent_gateway.keys.record import KeyRecord


class KeyReader:
    """Reads the keys again when another process has changed them.

    ``PRAGMA data_version`` says so for a few microseconds (https://sqlite.org/pragma.html#pragma_data_version). A file
    that was replaced or removed is told from it by its identity.

    Args:
        folder: The folder of the store, which need not be there yet.

    Attributes:
        pepper: The pepper; empty as long as there are no keys.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / database.FILE_NAME
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version: int | None = None
        self.pepper = b""

    def changed(self) -> list[KeyRecord] | None:
        """Return all keys; None when nothing has changed since this was asked before.

        Raises:
            StartError: The store, or the pepper, cannot be read. It is asked anew next time.
        """
        with database.translated(self._path):
            self._follow()
            return self._read() if self._connection is not None else []

    def close(self) -> None:
        """Close the store; it may be read again."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._file, self._version = None, None, None

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

    def _read(self) -> list[KeyRecord] | None:
        assert self._connection is not None
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return None
        records = database.records(self._connection)
        if records:
            self.pepper = read_pepper(self._folder)
        self._version = version  # asked before the rows were: a change in between is seen the next time
        return records
