"""Eviction: bounds, resistance to scans, ghosts, age; and the sums, compared with a model."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlite_entries import NOW, entry_of, key_of

from localagent_cache_sqlite import schema
from localagent_cache_sqlite.entry_rows import Row, encoded, row_id, size_of
from localagent_cache_sqlite.eviction import Bounds, fill
from localagent_cache_sqlite.pending_writes import Batch
from localagent_cache_sqlite.writing import write

DAY = 86_400.0


class Rows:
    """A connection, written to directly: one size for all entries, unless something else is said."""

    def __init__(
        self, connection: sqlite3.Connection, *, entries: int = 100, size: int = 10**9, ttl: float = DAY
    ) -> None:
        self.connection = connection
        self.bounds = Bounds(size, entries, ttl)
        self.now = NOW

    def put(self, *numbers: int, size: int = 100) -> None:
        batch = Batch()
        for number in numbers:
            entry = entry_of(number)
            record = encoded(entry)
            assert record is not None
            batch.rows[row_id(entry.key)] = Row(entry, self.now, record, size)
        write(self.connection, batch, self.bounds, self.now)

    def use(self, *numbers: int) -> None:
        batch = Batch()
        batch.hits.update(row_id(key_of(number)) for number in numbers)
        write(self.connection, batch, self.bounds, self.now)

    def there(self, numbers: range) -> list[int]:
        ids = {id for (id,) in self.connection.execute("SELECT id FROM entries")}
        return [number for number in numbers if row_id(key_of(number)) in ids]

    def one(self, query: str) -> object:
        return self.connection.execute(query).fetchone()[0]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = schema.writer(tmp_path / "answers.db")
    made.execute("PRAGMA synchronous = OFF")
    yield made
    made.close()


def test_a_scan_pushes_out_nobody_who_was_asked_for_again(connection: sqlite3.Connection) -> None:
    """Ten times the room of entries that nobody asks for again."""
    rows = Rows(connection)
    rows.put(*range(100))
    rows.use(*range(50))
    for start in range(1000, 2000, 20):
        rows.put(*range(start, start + 20))
    assert rows.there(range(50)) == list(range(50))


def test_what_nobody_asks_for_any_more_goes_in_the_end(connection: sqlite3.Connection) -> None:
    """Uses buy rounds, and rounds come to an end."""
    rows = Rows(connection)
    rows.put(*range(100))
    rows.use(*list(range(100)) * 5)
    for start in range(1000, 2000, 20):
        rows.put(*range(start, start + 20))
        rows.use(*range(start, start + 20))
    assert rows.there(range(100)) == []


def test_a_ghost_that_comes_back_stays(connection: sqlite3.Connection) -> None:
    """What went and comes back soon is not pushed out by the next scan."""
    rows = Rows(connection)
    rows.put(*range(120))
    assert 0 not in rows.there(range(120))
    rows.put(0)
    rows.put(*range(1000, 1090))
    assert rows.there(range(1)) == [0]


def test_ghosts_are_never_more_than_entries(connection: sqlite3.Connection) -> None:
    """After any number of evictions."""
    rows = Rows(connection)
    for start in range(0, 3000, 60):
        rows.put(*range(start, start + 60))
        assert rows.one("SELECT count(*) FROM ghosts") <= rows.one("SELECT count(*) FROM entries")  # type: ignore[operator]


def test_replacing_keeps_what_was_learned(connection: sqlite3.Connection) -> None:
    """A new answer under a key that was in use keeps its uses, and does not count twice."""
    rows = Rows(connection)
    rows.put(0, size=100)
    rows.use(0, 0)
    rows.put(0, size=150)
    assert connection.execute("SELECT uses, hits, size FROM entries").fetchall() == [(2, 2, 150)]
    assert sum(queue.size for queue in fill(connection)) == 150


def test_ten_thousand_keys_stay_within_the_bounds(connection: sqlite3.Connection) -> None:
    """After each batch of entries of all sizes: no byte and no entry too many, and the last one is there."""
    rows = Rows(connection, entries=300, size=100_000)
    source = random.Random(3)
    for start in range(0, 10_000, 50):
        rows.put(*range(start, start + 50), size=source.randrange(1, 10_000))
        small, main = fill(connection)
        assert small.entries + main.entries <= 300
        assert small.size + main.size <= 100_000
        assert rows.there(range(start + 49, start + 50)) == [start + 49]


def test_what_has_expired_goes_and_is_counted(connection: sqlite3.Connection) -> None:
    """Of 2,500 entries a part with each transaction; ghosts and uses do not hold it."""
    rows = Rows(connection, entries=5000, ttl=60.0)
    for start in range(0, 2500, 500):
        rows.put(*range(start, start + 500))
        rows.now += 1.0
    rows.use(*range(100))
    rows.now += 60.0
    more = [write(connection, Batch(), rows.bounds, rows.now) for _ in range(4)]
    assert more == [True, True, False, False]
    assert sum(queue.entries + queue.size for queue in fill(connection)) == 0
    assert rows.one("SELECT count(*) FROM answers") == 0
    assert rows.one("SELECT sum(expired) FROM counts") == 2500


def test_an_outdated_entry_goes(connection: sqlite3.Connection) -> None:
    """One whose answer was refused since it is too large now."""
    rows = Rows(connection)
    rows.put(1, 2)
    write(connection, Batch(gone={row_id(key_of(1))}), rows.bounds, rows.now)
    assert rows.there(range(3)) == [2]


def test_names_of_models_do_not_pile_up(connection: sqlite3.Connection) -> None:
    """A server that accepts any model name fills no table; its counts are still added up."""
    rows = Rows(connection)
    for start in range(0, 1200, 100):
        batch = Batch()
        batch.counts.update((f"fake/{number}", "", "hits") for number in range(start, start + 100))
        write(connection, batch, rows.bounds, rows.now)
    assert rows.one("SELECT count(*) FROM counts") == 1001
    assert rows.one("SELECT sum(hits) FROM counts") == 1200
    assert rows.one("SELECT hits FROM counts WHERE model = ''") == 200


@pytest.mark.parametrize("length", [100, 1_000, 3_000, 20_000, 200_000])
def test_the_counted_size_is_that_of_the_file(length: int, tmp_path: Path) -> None:
    """What entries are counted as is what the file has grown by: never much less."""
    path = tmp_path / "answers.db"
    connection = schema.writer(path)
    bounds, counted = Bounds(10**9, 10**6, DAY), 0
    empty = path.stat().st_size
    for start in range(0, max(30, 4_000_000 // length // 3), 30):
        batch = Batch()
        for number in range(start, start + 30):
            entry = entry_of(number, length=length)
            record = encoded(entry)
            assert record is not None
            size = size_of(record, len("fake/m"))
            counted += size
            batch.rows[row_id(entry.key)] = Row(entry, NOW, record, size)
        write(connection, batch, bounds, NOW)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    assert 0.5 < (path.stat().st_size - empty) / counted < 1.1


def lru_hits(trace: list[int], room: int) -> int:
    """Return how many requests LRU answers."""
    kept: dict[int, None] = {}
    hits = 0
    for key in trace:
        hits += key in kept
        kept.pop(key, None)
        kept[key] = None
        if len(kept) > room:
            del kept[next(iter(kept))]
    return hits


@pytest.mark.parametrize("scans", [False, True])
def test_it_answers_at_least_as_often_as_lru(scans: bool, connection: sqlite3.Connection) -> None:
    """On a Zipf trace, alone and with scans between, although uses are written in batches of 50 requests."""
    room, length = 100, 8_000
    weights = list(itertools.accumulate(1 / rank**0.8 for rank in range(1, 1001)))
    trace = random.Random(1).choices(range(1000), cum_weights=weights, k=length)
    if scans:
        fresh = itertools.count(10_000)
        trace = [key for request in trace for key in (request, next(fresh))]
    rows, hits = Rows(connection, entries=room), 0
    for start in range(0, len(trace), 50):
        part = trace[start : start + 50]
        kept = set(rows.there(range(1000)))
        used = [key for number, key in enumerate(part) if key in kept or key in part[:number]]
        hits += len(used)
        rows.put(*dict.fromkeys(key for key in part if key not in kept))
        rows.use(*used)
    assert hits >= lru_hits(trace, room)


class Keeping(RuleBasedStateMachine):
    """Any sequence of batches: bounds and sums hold, and there is no entry that was not stored."""

    numbers = st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True)

    @initialize(entries=st.integers(1, 20), size=st.integers(100, 1000))
    def begin(self, entries: int, size: int) -> None:
        self.connection = _in_memory()
        self.rows = Rows(self.connection, entries=entries, size=size, ttl=60.0)
        self.put_at: dict[int, float] = {}

    @rule(numbers=numbers, size=st.integers(0, 100))
    def put(self, numbers: list[int], size: int) -> None:
        self.rows.put(*numbers, size=size)
        self.put_at.update(dict.fromkeys(numbers, self.rows.now))

    @rule(numbers=numbers)
    def use(self, numbers: list[int]) -> None:
        self.rows.use(*numbers)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.rows.now += seconds
        write(self.connection, Batch(), self.rows.bounds, self.rows.now)
        alive = {number for number, then in self.put_at.items() if self.rows.now - then < 60.0}
        assert set(self.rows.there(range(41))) <= alive

    @invariant()
    def the_bounds_and_sums_hold(self) -> None:
        small, main = fill(self.connection)
        for queue, reported in ((0, small), (1, main)):
            query = f"SELECT count(*), coalesce(sum(size), 0) FROM entries WHERE queue = {queue}"
            assert self.connection.execute(query).fetchone() == reported
        assert small.entries + main.entries <= self.rows.bounds.entries
        assert small.size + main.size <= self.rows.bounds.size
        assert self.rows.one("SELECT count(*) FROM answers") == small.entries + main.entries

    def teardown(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema.SCHEMA)
    return connection


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
