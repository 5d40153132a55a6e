"""Batches of any size, with rows that can never be written among them: nothing else is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlite_entries import NOW, entry_of, key_of, opened

from localagent import CacheEntry, CacheKey, ChatResponse
from localagent.records import EntryFilter
from localagent_cache_sqlite import schema
from localagent_cache_sqlite.entry_rows import Row, encoded, row_id
from localagent_cache_sqlite.eviction import Bounds, fill
from localagent_cache_sqlite.pending_writes import Batch
from localagent_cache_sqlite.writing import ROWS_AT_ONCE, write
from localagent_testing.contracts.base import FULL

BOUNDS = Bounds(10**12, 10**9, 86_400.0)
OLD, USUAL = 999, 32_766  # the most bound values of SQLite before 3.32, and of later ones


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = schema.writer(tmp_path / "answers.db")
    made.execute("PRAGMA synchronous = OFF")
    yield made
    made.close()


def row_of(number: int, *, made: Any = NOW, size: Any = 100, key: dict[str, Any] | None = None) -> tuple[int, Row]:
    entry = entry_of(number)
    record = encoded(entry)
    assert record is not None
    if key is not None:
        entry = msgspec.structs.replace(entry, key=msgspec.structs.replace(entry.key, **key))
    return row_id(entry.key), Row(entry, made, record, size)


def batch_of(*numbers: int) -> Batch:
    return Batch(rows=dict(row_of(number) for number in numbers))


def there(connection: sqlite3.Connection) -> set[int]:
    """Return the ids of entries whose answers are there, too."""
    return {id for (id,) in connection.execute("SELECT id FROM entries JOIN answers USING (id)")}


@pytest.mark.parametrize("limit", [10, 11, OLD, USUAL])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_batch_may_have_more_values_than_a_statement(limit: int, more: int, connection: sqlite3.Connection) -> None:
    """One row less than the connection's limit allows in one statement, as many, and one more; places are in order."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
    for rows in (limit // 10 + more, ROWS_AT_ONCE + more, 2 * ROWS_AT_ONCE + more):
        connection.execute("DELETE FROM entries")
        batch = batch_of(*range(rows))
        write(connection, batch, BOUNDS, NOW)
        assert there(connection) == batch.rows.keys()
        assert sum(queue.entries for queue in fill(connection)) == rows
        in_turn = [id for (id,) in connection.execute("SELECT id FROM entries ORDER BY place")]
        assert in_turn == list(batch.rows)


@pytest.mark.parametrize("limit", [OLD, *([USUAL] if FULL else ())])
def test_everything_that_a_batch_holds_may_be_many(limit: int, connection: sqlite3.Connection) -> None:
    """Rows that replace others, ghosts that come back, rows that go, hits, counts: twice the limit of each."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
    many = 2 * limit
    ids = [row_id(key_of(number)) for number in range(many)]
    write(connection, batch_of(*range(limit // 10 + 1)), BOUNDS, NOW)
    connection.executemany("INSERT INTO ghosts VALUES (?, 0)", [(id,) for id in ids[limit:]])
    batch = batch_of(*range(many))
    batch.hits.update(ids)
    for number in range(1100):
        batch.counts[f"m{number}", "", "hits"] += 1
    write(connection, batch, BOUNDS, NOW)
    assert there(connection) == set(ids)
    assert connection.execute("SELECT sum(hits), sum(queue) FROM entries").fetchone() == (many, many - limit)
    assert connection.execute("SELECT count(*) FROM ghosts").fetchone() == (0,)
    assert connection.execute("SELECT sum(hits) FROM counts").fetchone() == (1100,)
    write(connection, Batch(gone=set(ids[1:])), BOUNDS, NOW)
    assert there(connection) == {ids[0]}


async def test_a_burst_is_kept_whole(tmp_path: Path) -> None:
    """More new answers in one turn of the loop than one statement takes; and all of them purged."""
    async with opened(tmp_path) as cache:
        file = cache.plugin._background.file
        assert file is not None
        file.writer.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, USUAL)
        cache.keep(*(entry_of(number) for number in range(4000)))
        await cache.flushed()
        assert cache.numbers(range(4000)) == list(range(4000))
        assert await cache.plugin.cache_purge(EntryFilter(older=-1.0)) == 4000


async def test_any_number_of_keys_may_be_looked_up(tmp_path: Path) -> None:
    """An alias with thousands of targets makes as many keys."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(5000))
        await cache.flushed()
        assert cache.find(*(key_of(number) for number in range(5001))) == entry_of(5000)


BAD_ROWS = {
    "a time that is not a number": row_of(1000, made=float("nan")),
    "no time": row_of(1001, made=None),
    "a size of more than 64 bits": row_of(1002, size=2**63),
    "a length of more than 64 bits": row_of(1003, key={"size": 2**70}),
    "half a surrogate pair in the model": row_of(1004, key={"model": "\ud800"}),
    "half a surrogate pair in the tenant": row_of(1005, key={"tenant": "\udfff"}),
    "a value of no type that SQLite has": row_of(1006, key={"check": object()}),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("place", ["first", "last", "alone"])
def test_a_row_that_cannot_be_written_costs_no_other(
    bad: str, place: str, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left out with one warning, and what else is in the batch is written once."""
    good = {} if place == "alone" else batch_of(*range(2 * ROWS_AT_ONCE)).rows
    id, row = BAD_ROWS[bad]
    rows = {id: row, **good} if place == "first" else {**good, id: row}
    batch = Batch(rows=rows, hits=batch_of(1).hits)
    batch.counts["m", "", "stored"] = 5
    write(connection, batch, BOUNDS, NOW)
    assert there(connection) == good.keys()
    assert connection.execute("SELECT stored FROM counts").fetchall() == [(5,)]
    assert len(caplog.records) == 1
    assert "1 answers" in caplog.text


def test_an_answer_that_is_too_long_for_sqlite_costs_no_other(connection: sqlite3.Connection) -> None:
    """Where the library was built with a low limit."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 20_000)
    batch = batch_of(*range(10))
    id, row = row_of(11)
    batch.rows[id] = Row(row.entry, row.made, b"x" * 30_000, row.size)
    write(connection, batch, BOUNDS, NOW)
    assert there(connection) == batch.rows.keys() - {id}


async def test_a_lookup_whose_names_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    """It is counted as a miss, for a model whose name is half a surrogate pair; answers of the same batch are kept."""
    odd = CacheKey(b"\x01" * 32, b"\x02" * 16, 3, "up/\ud800", "\ud800")
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        assert cache.find(odd) is None
        cache.keep(CacheEntry(key_of(2), ChatResponse(raw=b"{}"), None, float("nan"), "cache-other"), entry_of(3))
        await cache.flushed()
        assert cache.numbers([1, 3]) == [1, 3]
    async with opened(tmp_path) as cache:
        assert cache.numbers([1, 3]) == [1, 3]
