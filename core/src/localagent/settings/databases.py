"""Small databases of plugins: SQLite files in the state folder that any number of processes write to."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 5.0  # that a process waits for another one that is writing

# A forked child must not inherit an open database: https://www.sqlite.org/howtocorrupt.html, section 2.6
_working = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_working.acquire, after_in_parent=_working.release, after_in_child=_working.release)


@contextlib.contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for one transaction, in autocommit mode; no fork happens meanwhile.

    Create the file with ``create_private_file`` first, so that no other user can read it.

    Raises:
        sqlite3.Error: The file cannot be opened.
    """
    import sqlite3  # only plugins that keep files need it

    with _working:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()
