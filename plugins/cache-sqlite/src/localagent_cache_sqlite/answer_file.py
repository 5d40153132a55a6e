"""The file of answers, open: one connection for the event loop's reads, one for the thread that writes."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from localagent_cache_sqlite import schema

log = logging.getLogger("localagent.cache-sqlite")

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
BESIDE = ("-wal", "-shm", "")  # the file itself goes last: what is beside it must not be taken for the next one's

_Identity = tuple[int, int]


class AnswerFile:
    """An open file.

    Args:
        path: Where it is.

    Attributes:
        path: Where it is.
        reader: For reads that wait for nobody.
        writer: For all else.

    Raises:
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = schema.writer(path)
        try:
            self._identity = _identity(path)
            self.reader = schema.reader(path)
        except BaseException:
            self.writer.close()
            raise

    def is_in_place(self) -> bool:
        """Say whether the file is still the one at its path: nobody removed or replaced it."""
        return _identity(self.path) == self._identity

    def close(self) -> None:
        """Close the connections. The last one of all processes works off what is beside the file."""
        self.reader.close()
        self.writer.close()


def opened(path: Path) -> AnswerFile:
    """Open a file, made if need be; a damaged one is set aside before.

    Raises:
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be made.
    """
    before = _identity(path)
    try:
        return AnswerFile(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        if _identity(path) == before:
            set_aside(path, error)
    return AnswerFile(path)


def opened_anew(old: AnswerFile, error: sqlite3.Error) -> AnswerFile:
    """Close a file that turned out to be damaged, set it aside and begin a new one.

    Another process may have done so before: then its new one is opened.

    Raises:
        sqlite3.Error: None can be opened.
        OSError: None can be made.
    """
    in_place = old.is_in_place()
    old.close()
    if in_place:
        set_aside(old.path, error)
    return opened(old.path)


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether an error means that the file is damaged, or no such file; not that it cannot be used just now."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return type(error) is sqlite3.DatabaseError  # raised by us: a database of something else
    return (code & 0xFF) in DAMAGED


def set_aside(path: Path, error: Exception) -> None:
    """Move a damaged file out of the way, in the place of an older damaged one, and say so.

    Raises:
        OSError: It cannot be moved.
    """
    for end in BESIDE:
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.replace(path.with_name(f"{path.name}.damaged{end}"))
    log.warning("%s is damaged (%s); it is kept as %s.damaged, and a new one is begun.", path, error, path.name)


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
