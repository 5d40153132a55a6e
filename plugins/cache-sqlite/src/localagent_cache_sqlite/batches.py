"""What is to be written: entries and counts that wait, and what one transaction makes of them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

import attrs
import msgspec

from localagent import CacheEntry, CacheKey
from localagent_cache_sqlite.counting import count
from localagent_cache_sqlite.eviction import Bounds, evict, expire, last_place
from localagent_cache_sqlite.schema import transaction

_json = msgspec.json.Encoder().encode


class Row(msgspec.Struct, frozen=True):
    """An entry that waits to be written.

    Attributes:
        entry: The entry, so that it answers meanwhile.
        made: When its answer was made, in seconds since the epoch.
        record: The entry as bytes.
        size: What it counts against the bound, in bytes.
    """

    entry: CacheEntry
    made: float
    record: bytes
    size: int


@attrs.define
class Batch:
    """What one transaction writes.

    Attributes:
        rows: Entries, by their row ids.
        gone: Row ids whose entries are outdated.
        hits: How often entries answered since the last batch, by row id.
        counts: Numbers to add, by model, tenant and name of the count.
    """

    rows: dict[int, Row] = attrs.Factory(dict)
    gone: set[int] = attrs.Factory(set)
    hits: Counter[int] = attrs.Factory(Counter)
    counts: Counter[tuple[str, str, str]] = attrs.Factory(Counter)

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone or self.hits or self.counts)


def row_id(key: CacheKey) -> int:
    """Return the number of a key's row: the first eight bytes of its digest. The whole key is in the row."""
    return int.from_bytes(key.digest[:8], signed=True)


def write(connection: sqlite3.Connection, batch: Batch, bounds: Bounds, now: float) -> bool:
    """Write a batch, let go what expired and what there is no room for; all in one transaction.

    Every statement works on the whole batch: a thread that gives the interpreter away for each row would wait for it
    as often, five milliseconds each time, while an event loop is busy.

    Args:
        connection: For changes.
        batch: What to write.
        bounds: What may be kept.
        now: Seconds since the epoch.

    Returns:
        Whether more has expired than was let go.

    Raises:
        sqlite3.Error: Nothing was written.
    """
    with transaction(connection):
        more = expire(connection, now - bounds.ttl)
        if batch.gone:
            told = _json(list(batch.gone)).decode()
            connection.execute("DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?))", (told,))
        if batch.rows:
            _insert(connection, batch.rows)
        if batch.hits:
            _count_hits(connection, batch.hits)
        evict(connection, bounds)
        for (model, tenant, name), number in batch.counts.items():
            count(connection, model, tenant, name, number)
    return more


def _count_hits(connection: sqlite3.Connection, hits: Counter[int]) -> None:
    connection.execute(
        "UPDATE entries SET hits = hits + told.n, uses = min(3, uses + told.n) FROM (SELECT"
        " json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS n FROM json_each(?)) AS told"
        " WHERE entries.id = told.id",
        (_json(list(hits.items())).decode(),),
    )


def _insert(connection: sqlite3.Connection, rows: dict[int, Row]) -> None:
    """Put rows in, in the place of older ones. What went a short time ago enters the main queue at once."""
    back = _ghosts(connection, list(rows))
    values: list[object] = []
    for number, (id, row) in enumerate(rows.items(), last_place(connection) + 1):
        key = row.entry.key
        values += (id, key.digest, key.check, key.size, key.model, key.tenant, row.made, row.size, id in back, number)
    connection.execute(
        "INSERT INTO entries (id, digest, checked, length, model, tenant, made, size, queue, place) VALUES"
        f" {_marks(len(rows), 10)} ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, checked = excluded.checked,"
        " length = excluded.length, model = excluded.model, tenant = excluded.tenant, made = excluded.made,"
        " size = excluded.size",
        values,
    )
    records = [value for id, row in rows.items() for value in (id, row.record)]
    connection.execute(f"INSERT OR REPLACE INTO answers (id, record) VALUES {_marks(len(rows), 2)}", records)


def _ghosts(connection: sqlite3.Connection, ids: Sequence[int]) -> set[int]:
    """Return which of these went a short time ago; they are ghosts no more."""
    told = (_json(ids).decode(),)
    found = connection.execute(
        "SELECT json_group_array(id) FROM ghosts WHERE id IN (SELECT value FROM json_each(?))", told
    ).fetchone()[0]
    if found == "[]":
        return set()
    connection.execute("DELETE FROM ghosts WHERE id IN (SELECT value FROM json_each(?))", told)
    return set(msgspec.json.decode(found, type=list[int]))


def _marks(rows: int, columns: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)
