"""Reads entries from the file: by their keys for lookups, page by page to list and export them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from localagent import CacheEntry, CacheKey
from localagent.records import CacheCounts, EntryFilter, EntryInfo
from localagent_cache_sqlite.entry_rows import decoded, row_id
from localagent_cache_sqlite.schema import transaction

AHEAD = 60.0  # seconds by which an answer may come from the future, because clocks may be set
PAGE = 200  # entries that one statement reads: no read stays open for long, so checkpoints are possible

_FIND = (
    "SELECT digest, checked, length, model, tenant, made, record FROM entries JOIN answers USING (id)"
    " WHERE entries.id = ?"
)
_COUNTS = "SELECT model, tenant, hits, misses, stored, evicted, expired, too_large FROM counts ORDER BY model, tenant"


def find(connection: sqlite3.Connection, key: CacheKey, now: float, ttl: float) -> CacheEntry | None:
    """Return the entry of a key, if it has not expired.

    Args:
        connection: The connection for reading.
        key: The key; all of it is compared.
        now: Seconds since the epoch.
        ttl: Seconds after which an entry expires.

    Raises:
        sqlite3.Error: It cannot be read now.
    """
    row = connection.execute(_FIND, (row_id(key),)).fetchone()
    if row is None or row[:5] != (key.digest, key.check, key.size, key.model, key.tenant):
        return None
    return decoded(key, row[6]) if fresh(row[5], now, ttl) else None


def fresh(made: float, now: float, ttl: float) -> bool:
    """Return whether an answer may be used: it is not too old, and not from the future because a clock was set back."""
    return -AHEAD <= now - made < ttl


def counts(connection: sqlite3.Connection) -> tuple[CacheCounts, ...]:
    """Return the counts by model and tenant.

    Raises:
        sqlite3.Error: It cannot be read now.
    """
    return tuple(CacheCounts(*row) for row in connection.execute(_COUNTS))


def chosen(entry_filter: EntryFilter, now: float, ttl: float) -> tuple[str, list[object]]:
    """Return the SQL condition for matching entries that have not expired, and its values."""
    terms = ["made > ?", "made <= ?"]
    values: list[object] = [now - ttl, now - entry_filter.older if entry_filter.older else now + AHEAD]
    for column, value in (("model", entry_filter.model), ("tenant", entry_filter.tenant)):
        if value is not None:
            terms.append(f"{column} = ?")
            values.append(value)
    return " AND ".join(terms), values


def listed(
    connection: sqlite3.Connection, entry_filter: EntryFilter, now: float, ttl: float
) -> Iterator[list[EntryInfo]]:
    """Yield the metadata of entries, a page at a time.

    Raises:
        sqlite3.Error: It cannot be read now.
    """
    columns = "entries.id, digest, model, tenant, made, size, hits"
    for rows in _pages(connection, f"SELECT {columns} FROM entries", chosen(entry_filter, now, ttl)):
        yield [EntryInfo(row[1].hex(), row[2], row[3], max(0.0, now - row[4]), row[5], row[6]) for row in rows]


def exported(
    connection: sqlite3.Connection, entry_filter: EntryFilter, now: float, ttl: float
) -> Iterator[list[CacheEntry]]:
    """Yield entries with their answers, a page at a time.

    Raises:
        sqlite3.Error: They cannot be read now.
    """
    columns = "entries.id, digest, checked, length, model, tenant, record"
    for rows in _pages(
        connection, f"SELECT {columns} FROM entries JOIN answers USING (id)", chosen(entry_filter, now, ttl)
    ):
        found = (decoded(CacheKey(*row[1:6]), row[6]) for row in rows)
        yield [entry for entry in found if entry is not None]


def _pages(
    connection: sqlite3.Connection, select: str, condition: tuple[str, list[object]]
) -> Iterator[Sequence[tuple[Any, ...]]]:
    terms, values = condition
    after, first = -(2**63), ">="
    while rows := connection.execute(
        f"{select} WHERE {terms} AND entries.id {first} ? ORDER BY entries.id LIMIT ?", [*values, after, PAGE]
    ).fetchall():
        yield rows
        after, first = rows[-1][0], ">"


def purge(connection: sqlite3.Connection, entry_filter: EntryFilter, now: float, ttl: float) -> int:
    """Delete entries, free their disk space and return their number.

    Raises:
        sqlite3.Error: No entry was deleted.
    """
    everything = entry_filter == EntryFilter()
    none: tuple[str, list[object]] = ("1", [])
    condition, values = none if everything else chosen(entry_filter, now, ttl)
    with transaction(connection):
        gone = connection.execute(f"DELETE FROM entries WHERE {condition}", values).rowcount
        if everything:
            connection.execute("DELETE FROM ghosts")
    connection.executescript("PRAGMA incremental_vacuum")  # execute of Python 3.11 runs only one step: one page
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return gone
