"""Writes the pending entries and counts in one transaction."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections import Counter
from collections.abc import Sequence

import msgspec

from localagent_cache_sqlite.entry_rows import Row
from localagent_cache_sqlite.eviction import Bounds, evict, expire, last_place
from localagent_cache_sqlite.pending_writes import Batch
from localagent_cache_sqlite.schema import transaction

log = logging.getLogger("localagent.cache-sqlite")

PAIRS = 1000  # pairs of model and tenant that are counted separately; some servers accept any model name
ROWS_AT_ONCE = 200  # rows that one statement inserts; SQLite caches its text, which grows with them
ENTER = "INSERT INTO entries (id, digest, checked, length, model, tenant, made, size, queue, place)"
AGAIN = (
    "ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, checked = excluded.checked, length = excluded.length,"
    " model = excluded.model, tenant = excluded.tenant, made = excluded.made, size = excluded.size"
)
ANSWER = "INSERT OR REPLACE INTO answers (id, record)"
UNWRITABLE = (ValueError, OverflowError, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""The errors for a value that SQLite does not accept: half a surrogate pair, a time that is not a number."""

_json = msgspec.json.Encoder().encode


def write(connection: sqlite3.Connection, batch: Batch, bounds: Bounds, now: float) -> bool:
    """Write a batch, remove expired entries and evict others if there is no space; all in one transaction.

    Every statement works on many rows: a thread that releases the interpreter lock for each row would wait for it
    each time, five milliseconds while an event loop is busy. An entry that can never be written is skipped; the others
    are written.

    Args:
        connection: The connection for changes.
        batch: The batch.
        bounds: The limits of the cache.
        now: Seconds since the epoch.

    Returns:
        Whether there are more expired entries than were removed.

    Raises:
        sqlite3.Error: Nothing was written.
    """
    try:
        return _write(connection, batch, bounds, now)
    except UNWRITABLE:
        return _write(connection, _writable(connection, batch), bounds, now)


def _write(connection: sqlite3.Connection, batch: Batch, bounds: Bounds, now: float) -> bool:
    with transaction(connection):
        more = expire(connection, now - bounds.ttl)
        if batch.gone:
            gone = _json(list(batch.gone)).decode()
            connection.execute("DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?))", (gone,))
        if batch.rows:
            _insert(connection, batch.rows)
        if batch.hits:
            _count_hits(connection, batch.hits)
        evict(connection, bounds)
        for (model, tenant, name), number in batch.counts.items():
            count(connection, model, tenant, name, number)
    return more


def _writable(connection: sqlite3.Connection, batch: Batch) -> Batch:
    """Return a batch without the entries and counts that can never be written. Tries each alone and rolls back."""
    tried = Batch(gone=batch.gone, hits=batch.hits)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for id, row in batch.rows.items():
            with contextlib.suppress(*UNWRITABLE):
                _insert(connection, {id: row})
                tried.rows[id] = row
        for key, number in batch.counts.items():
            with contextlib.suppress(*UNWRITABLE):
                count(connection, *key, number)
                tried.counts[key] = number
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    without = len(batch.rows) - len(tried.rows), len(batch.counts) - len(tried.counts)
    log.warning("%d answers and %d counts were not written: SQLite does not accept their values.", *without)
    return tried


def _count_hits(connection: sqlite3.Connection, hits: Counter[int]) -> None:
    connection.execute(
        "UPDATE entries SET hits = hits + told.n, uses = min(3, uses + told.n) FROM (SELECT"
        " json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS n FROM json_each(?)) AS told"
        " WHERE entries.id = told.id",
        (_json(list(hits.items())).decode(),),
    )


def _insert(connection: sqlite3.Connection, rows: dict[int, Row]) -> None:
    """Insert rows, replacing older ones. A recently evicted entry enters the main queue directly."""
    back = _ghosts(connection, list(rows))
    entries: list[tuple[object, ...]] = []
    for place, (id, row) in enumerate(rows.items(), last_place(connection) + 1):
        key = row.entry.key
        entries.append(
            (id, key.digest, key.check, key.size, key.model, key.tenant, row.made, row.size, id in back, place)
        )
    _insert_many(connection, ENTER, AGAIN, entries)
    _insert_many(connection, ANSWER, "", [(id, row.record) for id, row in rows.items()])


def _insert_many(
    connection: sqlite3.Connection, insert: str, otherwise: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Insert rows with as few statements as the connection's limit of bound values allows.

    Args:
        connection: The connection for changes.
        insert: The statement up to ``VALUES``.
        otherwise: The statement after the values.
        rows: One or more rows of the same length.
    """
    width = len(rows[0])
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    at_once = max(1, min(ROWS_AT_ONCE, most))
    marks = f"({', '.join('?' * width)})"
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        values = [value for row in some for value in row]
        connection.execute(f"{insert} VALUES {', '.join([marks] * len(some))} {otherwise}", values)


def _ghosts(connection: sqlite3.Connection, ids: Sequence[int]) -> set[int]:
    """Return which of these ids are ghosts, and remove these ghosts."""
    parameters = (_json(ids).decode(),)
    found = connection.execute(
        "SELECT json_group_array(id) FROM ghosts WHERE id IN (SELECT value FROM json_each(?))", parameters
    ).fetchone()[0]
    if found == "[]":
        return set()
    connection.execute("DELETE FROM ghosts WHERE id IN (SELECT value FROM json_each(?))", parameters)
    return set(msgspec.json.decode(found, type=list[int]))


def count(connection: sqlite3.Connection, model: str, tenant: str, name: str, number: int) -> None:
    """Add to a count of a model and tenant; if the table is full, to the count without a name."""
    updated = connection.execute(
        f"UPDATE counts SET {name} = {name} + ? WHERE model = ? AND tenant = ?", (number, model, tenant)
    ).rowcount
    if updated:
        return
    if connection.execute("SELECT count(*) FROM counts").fetchone()[0] >= PAIRS:
        model = tenant = ""
    connection.execute(
        f"INSERT INTO counts (model, tenant, {name}) VALUES (?, ?, ?)"
        f" ON CONFLICT DO UPDATE SET {name} = {name} + excluded.{name}",
        (model, tenant, number),
    )
