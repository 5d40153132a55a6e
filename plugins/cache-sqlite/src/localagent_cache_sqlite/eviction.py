"""Eviction and expiry: S3-FIFO in the rows of the file, and a maximum age.

There are two queues. New entries enter the *small* queue (0), a tenth of the space. An entry that was used again by the
time it reaches the end moves to the *main* queue (1); the others are evicted and leave their ids as *ghosts*. A ghost
that is stored again enters the main queue. At the end of the main queue, each use gives another round. A hit moves no
row, it only counts.

After: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, section 4. This
implementation differs: uses are written in batches, and many rows are evicted at a time.
"""

from __future__ import annotations

import math
import sqlite3
from typing import NamedTuple

import attrs

SMALL, MAIN = 0, 1
SHARE = 0.1  # the small queue's share of the space, as in the paper
AT_ONCE = 256  # the most rows that one round examines
LOOKS = 1000  # after so many kept rows, used rows are evicted, too
EXPIRED_AT_ONCE = 1000


@attrs.frozen
class Bounds:
    """The limits of the cache.

    Attributes:
        size: The maximum size in bytes.
        entries: The maximum number of entries.
        ttl: Seconds after which an entry expires.
    """

    size: int
    entries: int
    ttl: float


class Fill(NamedTuple):
    """How full a queue is.

    Attributes:
        entries: The number of its entries.
        size: Their size in bytes.
    """

    entries: int
    size: int


def fill(connection: sqlite3.Connection) -> tuple[Fill, Fill]:
    """Return how full the small and the main queue are."""
    row = connection.execute(
        "SELECT a.entries, a.size, b.entries, b.size FROM totals a, totals b WHERE a.queue = 0 AND b.queue = 1"
    ).fetchone()
    return Fill(*row[:2]), Fill(*row[2:])


def evict(connection: sqlite3.Connection, bounds: Bounds) -> None:
    """Evict entries until the limits are respected."""
    stayed = 0
    small, main = before = fill(connection)
    while rows := _too_many(small, main, bounds):
        above = _above_share(small, bounds)
        queue = SMALL if above or not main.entries else MAIN
        looked = min(rows, above) if above and main.entries else rows
        gone = _round(connection, queue, looked, all_go=stayed >= LOOKS)
        stayed = 0 if gone else stayed + looked
        small, main = fill(connection)
    if (small, main) != before:
        _trim_ghosts(connection, small.entries + main.entries)


def _too_many(small: Fill, main: Fill, bounds: Bounds) -> int:
    """Return about how many entries have to be evicted; 0 when the limits are respected."""
    entries, size = small.entries + main.entries, small.size + main.size
    over = max(0, entries - bounds.entries)
    if size > bounds.size:
        over = max(over, math.ceil((size - bounds.size) * entries / size))
    return min(over, AT_ONCE)


def _above_share(small: Fill, bounds: Bounds) -> int:
    """Return about how many entries the small queue has above its share; 0 when it is within its share."""
    above = max(0, math.ceil(small.entries - SHARE * bounds.entries))
    if small.size > SHARE * bounds.size:
        above = max(above, math.ceil((small.size - SHARE * bounds.size) * small.entries / small.size))
    return above


def _round(connection: sqlite3.Connection, queue: int, rows: int, *, all_go: bool) -> int:
    """Examine the oldest rows of a queue: used ones stay, the others are evicted. Return the number of evicted rows."""
    first, last = connection.execute(
        "SELECT min(place), max(place) FROM (SELECT place FROM entries WHERE queue = ? ORDER BY place LIMIT ?)",
        (queue, rows),
    ).fetchone()
    behind = last_place(connection) - first + 1
    oldest = f"queue = {queue} AND place <= {last}"
    unused = oldest if all_go else f"{oldest} AND uses = 0"
    if queue == SMALL:
        connection.execute(f"INSERT OR REPLACE INTO ghosts SELECT id, place FROM entries WHERE {unused}")
    count_gone(connection, unused, "evicted")
    gone = connection.execute(f"DELETE FROM entries WHERE {unused}").rowcount
    uses = "0" if queue == SMALL else "uses - 1"
    connection.execute(f"UPDATE entries SET queue = 1, uses = {uses}, place = place + ? WHERE {oldest}", (behind,))
    return gone


def last_place(connection: sqlite3.Connection) -> int:
    """Return the highest place of an entry; the next entry gets a higher one."""
    row = connection.execute(
        "SELECT max((SELECT coalesce(max(place), 0) FROM entries WHERE queue = 0),"
        " (SELECT coalesce(max(place), 0) FROM entries WHERE queue = 1))"
    ).fetchone()
    return int(row[0])


def _trim_ghosts(connection: sqlite3.Connection, most: int) -> None:
    """Remove the oldest ghosts, so that there are never more ghosts than entries."""
    number = connection.execute("SELECT count(*) FROM ghosts").fetchone()[0]
    if number > most:
        connection.execute(
            "DELETE FROM ghosts WHERE id IN (SELECT id FROM ghosts ORDER BY place LIMIT ?)", (number - most,)
        )


def expire(connection: sqlite3.Connection, before: float) -> bool:
    """Remove entries that were made before a time, at most ``EXPIRED_AT_ONCE``; return whether there may be more."""
    row = connection.execute(
        "SELECT count(*), max(made) FROM (SELECT made FROM entries WHERE made <= ? ORDER BY made LIMIT ?)",
        (before, EXPIRED_AT_ONCE),
    ).fetchone()
    if not row[0]:
        return False
    over = f"made <= {row[1]!r}"
    count_gone(connection, over, "expired")
    connection.execute(f"DELETE FROM entries WHERE {over}")
    return bool(row[0] == EXPIRED_AT_ONCE)


def count_gone(connection: sqlite3.Connection, which: str, name: str) -> None:
    """Count the entries that are about to be removed, by model and tenant.

    Args:
        connection: The connection for changes.
        which: The SQL condition for these entries.
        name: The name of the count.
    """
    connection.execute(
        f"INSERT INTO counts (model, tenant, {name})"
        " SELECT coalesce(counts.model, '') AS m, coalesce(counts.tenant, '') AS t, count(*)"
        " FROM (SELECT model, tenant FROM entries"
        f" WHERE {which}) AS gone LEFT JOIN counts ON counts.model = gone.model AND counts.tenant = gone.tenant"
        f" GROUP BY m, t ON CONFLICT DO UPDATE SET {name} = {name} + excluded.{name}"
    )
