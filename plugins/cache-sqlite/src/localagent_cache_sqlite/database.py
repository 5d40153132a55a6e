"""The file of answers, opened once per process: one connection for reads on event loops, one for writing threads.

Opening one path twice would be dangerous. When one open file notices that the file was removed and opens a new one, the
other still has the old WAL files of the same names open, and POSIX releases the locks of both when either is closed
(https://www.sqlite.org/howtocorrupt.html, section 2.2). So all caches of a process that use the same path share one.

A connection that a forked child inherits would assume that it holds the locks of its parent (section 2.6), so the files
are closed during a fork.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from localagent_cache_sqlite import schema

log = logging.getLogger("localagent.cache-sqlite")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
BESIDE = ("-wal", "-shm", "")  # the file itself comes last, so the next file never gets the WAL files of the old one

_Identity = tuple[int, int]


class AnswerFile:
    """The file of one path. All methods except ``read`` and ``join`` may block, so they are for threads.

    Args:
        path: The path, without symbolic links.

    Attributes:
        path: The path.
        number: The number of files that were opened here so far; 0 before the first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self._users = 0
        self._was_open = False
        self._identity: _Identity | None = None
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self._changing = threading.Lock()  # acquired before the other one

    def read(self, work: Callable[[sqlite3.Connection, *Ts], T], *arguments: *Ts) -> T | None:
        """Run a read that waits for no writer; return None if the file is not open now.

        Raises:
            sqlite3.Error: It cannot be read now.
        """
        with self._reading:
            return None if self._reader is None else work(self._reader, *arguments)

    def change(self, work: Callable[[sqlite3.Connection, *Ts], T], *arguments: *Ts) -> T:
        """Run any other work on the connection for changes.

        Raises:
            sqlite3.Error: The work failed.
        """
        with self._changing:
            return work(self.writer, *arguments)

    @property
    def writer(self) -> sqlite3.Connection:
        """The connection for changes.

        Raises:
            sqlite3.OperationalError: The file is not open now.
        """
        if self._writer is None:
            raise sqlite3.OperationalError("it is not open")
        return self._writer

    # Opening and closing

    def join(self) -> None:
        """Become a user of the file."""
        with self._reading:  # which is never held for long
            self._users += 1

    def leave(self) -> None:
        """Stop being a user. When the last user of all processes leaves, SQLite makes a checkpoint."""
        with self._changing:
            with self._reading:
                self._users -= 1
            if not self._users:
                self._close()

    def open(self) -> None:
        """Open the current file of the path, and create it if it is missing; a damaged file is set aside.

        Raises:
            sqlite3.Error: It cannot be opened.
            OSError: It cannot be created.
        """
        with self._changing:
            if self._writer is None or _identity(self.path) != self._identity:
                self._close()
                self._open()

    def replace(self, number: int, error: sqlite3.Error) -> None:
        """Set a damaged file aside and open a new one, unless another user or process already did so.

        Args:
            number: The number of the damaged file.
            error: The error that showed the damage.

        Raises:
            sqlite3.Error: No new file can be opened.
            OSError: No new file can be created.
        """
        with self._changing:
            if number == self.number:
                self._close()
                self._open((self._identity, error))

    def _open(self, damaged: tuple[_Identity | None, sqlite3.Error] | None = None) -> None:
        """Open the file.

        Args:
            damaged: The file to set aside first, and the reason.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with schema.locked(self.path.parent, schema.BUSY_SECONDS):
            if damaged is not None and _identity(self.path) == damaged[0]:
                _set_aside(self.path, damaged[1])
            try:
                self._connect()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                _set_aside(self.path, error)
                self._connect()

    def _connect(self) -> None:
        if not self.path.exists():
            _remove_orphans(self.path)
        writer = schema.writer(self.path)
        try:
            reader = schema.reader(self.path)
        except BaseException:
            writer.close()
            raise
        with self._reading:
            self._reader, self._writer = reader, writer
        self._identity = _identity(self.path)
        self.number += 1

    def _close(self) -> None:
        with self._reading:
            reader, self._reader = self._reader, None
        writer, self._writer = self._writer, None
        for connection in (reader, writer):
            if connection is not None:
                connection.close()

    # Forks: SQLite's connections must not be carried into a child, https://www.sqlite.org/howtocorrupt.html 2.6

    def suspend(self) -> None:
        """Wait for running work, and close the connections until ``resume`` or ``abandon``."""
        self._changing.acquire()
        self._was_open = self._writer is not None
        self._close()

    def resume(self) -> None:
        """Open the connections again; if that fails, the next ``open`` tries again."""
        try:
            if self._was_open:
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._open()
        finally:
            self._changing.release()

    def abandon(self) -> None:
        """In a child: leave the file to the parent."""
        self._changing.release()


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error means that the file is damaged or of another kind, not just unusable now."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return type(error) is sqlite3.DatabaseError  # from ``schema``: a database of another application
    return (code & 0xFF) in DAMAGED


def _remove_orphans(path: Path) -> None:
    """Remove the WAL files of a file that was removed, so they are not used for the next one."""
    for end in BESIDE[:-1]:
        path.with_name(path.name + end).unlink(missing_ok=True)


def _set_aside(path: Path, error: Exception) -> None:
    """Move a damaged file away, replacing an older damaged one, and log it.

    Raises:
        OSError: It cannot be moved.
    """
    for end in BESIDE:
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.replace(path.with_name(f"{path.name}.damaged{end}"))
    log.warning("%s is damaged (%s). It is kept as %s.damaged, and a new file is created.", path, error, path.name)


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


# Files that are open in this process

_files: WeakValueDictionary[Path, AnswerFile] = WeakValueDictionary()
_finding = threading.Lock()
_suspended: list[AnswerFile] = []


def file_at(path: Path) -> AnswerFile:
    """Return the file of a path: the same object in all of this process, also for a path with symbolic links."""
    real = Path(os.path.realpath(path))
    with _finding:
        found = _files.get(real)
        if found is None:
            found = _files[real] = AnswerFile(real)
        return found


def _before_fork() -> None:
    _finding.acquire()
    _suspended[:] = _files.values()
    for file in _suspended:
        file.suspend()


def _after_fork_in_parent() -> None:
    for file in _suspended:
        file.resume()
    _suspended.clear()
    _finding.release()


def _after_fork_in_child() -> None:
    for file in _suspended:
        file.abandon()
    _suspended.clear()
    _files.clear()  # a client in the child opens the files again
    _finding.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
