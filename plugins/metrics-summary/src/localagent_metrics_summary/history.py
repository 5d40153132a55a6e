"""The history: what was counted in each interval, in a SQLite file that any number of processes write to.

A row has the samples of one interval and process as JSON, compressed. So the summary of any span is as exact as a live
one: counters add up, and the buckets of histograms, too.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from localagent import Histogram, Sample, Stats
from localagent.settings import create_private_file, open_database

FILE_NAME = "history-1.db"  # one file per version
DAY_SECONDS = 86400.0

_SCHEMA = "CREATE TABLE IF NOT EXISTS intervals (ended REAL, samples BLOB)"
_INDEX = "CREATE INDEX IF NOT EXISTS by_time ON intervals (ended)"


def difference(now: Stats, before: Stats) -> Stats:
    """Return what was counted between two states of the same counters and histograms; gauges are left out."""
    earlier = {(sample.instrument.name, sample.labels): sample.value for sample in before}
    found = Stats()
    for sample in now.counted():
        past = earlier.get((sample.instrument.name, sample.labels))
        value = sample.value
        if isinstance(value, Histogram) and isinstance(past, Histogram):
            value = value.less(past)
        elif not isinstance(value, Histogram) and not isinstance(past, Histogram) and past is not None:
            value -= past
        if value.count if isinstance(value, Histogram) else value:
            found.add(Sample(sample.instrument, value, sample.labels))
    return found


def write(path: Path, ended: float, stats: Stats, oldest: float) -> None:
    """Add an interval, and delete those that ended before ``oldest``; times are seconds since the epoch.

    Raises:
        sqlite3.Error: The file cannot be written, or is of another kind.
        OSError: The file cannot be created.
    """
    create_private_file(path)
    packed = zlib.compress(msgspec.json.encode(stats.to_builtins()))
    with open_database(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_SCHEMA)
            connection.execute(_INDEX)
            connection.execute("INSERT INTO intervals VALUES (?, ?)", (ended, packed))
            connection.execute("DELETE FROM intervals WHERE ended < ?", (oldest,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def read(path: Path, since: float) -> Stats:
    """Return the sum of the intervals that ended after a time; empty if the file does not exist.

    Raises:
        sqlite3.Error: The file cannot be read, or is of another kind.
    """
    found = Stats()
    if not path.exists():
        return found
    with open_database(path) as connection:
        for (packed,) in connection.execute("SELECT samples FROM intervals WHERE ended > ?", (since,)):
            found.merge(Stats.from_builtins(msgspec.json.decode(zlib.decompress(packed))))
    return found
