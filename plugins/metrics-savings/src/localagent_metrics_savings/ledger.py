"""The file: a line for each day, plugin, model and tenant, written by any number of processes."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import attrs
import msgspec

from localagent.settings import create_private_file, open_database

log = logging.getLogger("localagent")

FILE_NAME = "savings-1.db"  # one file per version
OTHERS = "(others)"
DAY_SECONDS = 86400.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    day INTEGER, plugin TEXT, model TEXT, tenant TEXT, calls INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,
    seconds REAL, PRIMARY KEY (day, plugin, model, tenant)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
prompt_tokens = prompt_tokens + excluded.prompt_tokens,
completion_tokens = completion_tokens + excluded.completion_tokens, seconds = seconds + excluded.seconds
"""
UNWRITABLE = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""The errors for a value that SQLite does not accept, such as text with half a surrogate pair."""
_IS_THERE = "SELECT 1 FROM lines WHERE day = ? AND plugin = ? AND model = ? AND tenant = ?"


class Line(msgspec.Struct, frozen=True):
    """The key of an amount.

    Attributes:
        day: Days since 1 January 1970 (UTC).
        plugin: The cache that answered, or ``flights`` for shared calls; empty for calls that a model answered.
        model: The model, as ``provider/name``.
        tenant: The tenant of the calls.
    """

    day: int
    plugin: str
    model: str
    tenant: str


@attrs.define
class Amount:
    """The figures of a line.

    Attributes:
        calls: Calls that no model had to answer; on a line without a plugin, calls that a model answered.
        prompt_tokens: Tokens of their requests.
        completion_tokens: Tokens of their answers.
        seconds: Seconds that the calls saved; on a line without a plugin, seconds that they took.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def add(self, other: Amount) -> None:
        """Add another amount to this one."""
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.seconds += other.seconds


Amounts = Mapping[Line, Amount]


def add(path: Path, amounts: Amounts, oldest: int, most: int) -> None:
    """Add amounts to the file: all of them, or none if an error is raised.

    Args:
        path: The file; it is created if it is missing.
        amounts: The amounts to add.
        oldest: The first day that is kept.
        most: The maximum number of lines per day, besides those for all others.

    Raises:
        sqlite3.Error: The file cannot be written, or is of another kind.
        OSError: The file cannot be created.
    """
    create_private_file(path)
    with open_database(path) as connection:
        connection.execute("BEGIN IMMEDIATE")  # waits for others; a switch to WAL would not, for a new file
        try:
            connection.execute(SCHEMA)
            for line, amount in amounts.items():
                _add(connection, line, amount, most)
            connection.execute("DELETE FROM lines WHERE day < ?", (oldest,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def read(path: Path, since: int) -> dict[Line, Amount]:
    """Return the amounts since a day; an empty dict if the file does not exist.

    Raises:
        sqlite3.Error: The file cannot be read, or is of another kind.
    """
    if not path.exists():
        return {}
    with open_database(path) as connection:
        rows = connection.execute("SELECT * FROM lines WHERE day >= ?", (since,)).fetchall()
    return {Line(*row[:4]): Amount(*row[4:]) for row in rows}


def _add(connection: sqlite3.Connection, line: Line, amount: Amount, most: int) -> None:
    """Add one amount; skip one that can never be written, so that it does not block the others."""
    try:
        chosen = _with_room(connection, line, most)
        connection.execute(_ADD, (*msgspec.structs.astuple(chosen), *attrs.astuple(amount)))
    except UNWRITABLE as error:
        log.warning("The savings of one line cannot be written and are skipped (%s).", type(error).__name__)


def _with_room(connection: sqlite3.Connection, line: Line, most: int) -> Line:
    if connection.execute(_IS_THERE, msgspec.structs.astuple(line)).fetchone():
        return line
    (there,) = connection.execute("SELECT count(*) FROM lines WHERE day = ?", (line.day,)).fetchone()
    return line if there < most else Line(line.day, line.plugin, OTHERS, OTHERS)
