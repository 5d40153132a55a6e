"""The pending writes: collected in batches while the thread is busy, and found by lookups. Uses no file or thread."""

from __future__ import annotations

from collections import Counter

import attrs

from localagent import CacheKey
from localagent_cache_sqlite.entry_rows import Row, row_id

MOST_BYTES = 32 * 2**20  # of pending entries; if the disk is too slow for more, entries are dropped to save memory
MOST_COUNTS = 10_000  # of pending hits and counts


@attrs.define
class Batch:
    """The changes that one transaction writes.

    Attributes:
        rows: Entries, by their row ids.
        gone: Row ids whose entries are outdated.
        hits: Hits of entries since the last batch, by row id.
        counts: Numbers to add, by model, tenant and name of the count.
    """

    rows: dict[int, Row] = attrs.Factory(dict)
    gone: set[int] = attrs.Factory(set)
    hits: Counter[int] = attrs.Factory(Counter)
    counts: Counter[tuple[str, str, str]] = attrs.Factory(Counter)

    def __bool__(self) -> bool:
        return bool(self.rows or self.gone or self.hits or self.counts)


class PendingWrites:
    """Two batches: the one that is being written, and the one that grows meanwhile.

    Attributes:
        dropped: The number of entries that were not written because too many were pending or the write failed.
        totals: What was counted in this process, by name.
    """

    def __init__(self) -> None:
        self._growing = Batch()
        self._writing: Batch | None = None
        self._bytes = 0
        self.dropped = 0
        self.totals: Counter[str] = Counter(hits=0, misses=0, stored=0, too_large=0)

    @property
    def is_pressing(self) -> bool:
        """Whether there are changes that should not wait for the next regular write."""
        batch = self._growing
        return bool(batch.rows or batch.gone) or len(batch.hits) + len(batch.counts) > MOST_COUNTS

    def __bool__(self) -> bool:
        return bool(self._growing) or self._writing is not None

    def find(self, key: CacheKey) -> Row | None:
        """Return the pending entry of a key; the whole key is compared."""
        id = row_id(key)
        row = self._growing.rows.get(id)
        if row is None and self._writing is not None and id not in self._growing.gone:
            row = self._writing.rows.get(id)
        return row if row is not None and row.entry.key == key else None

    def hides(self, key: CacheKey) -> bool:
        """Return whether the file's entry of a key is outdated, but not yet removed from it."""
        id = row_id(key)
        return id in self._growing.gone or (self._writing is not None and id in self._writing.gone)

    def keep(self, row: Row) -> None:
        """Add an entry to be written, replacing an older one; it is dropped if too much is pending."""
        if self._bytes + row.size > MOST_BYTES:
            self.dropped += 1
            return
        key = row.entry.key
        id = row_id(key)
        old = self._growing.rows.get(id)
        self._bytes += row.size - (old.size if old is not None else 0)
        self._growing.rows[id] = row
        self._growing.gone.discard(id)
        self.count(key, "stored")

    def let_go(self, key: CacheKey) -> None:
        """Have the entry of a key removed."""
        id = row_id(key)
        old = self._growing.rows.pop(id, None)
        self._bytes -= old.size if old is not None else 0
        self._growing.gone.add(id)

    def hit(self, key: CacheKey) -> None:
        """Count a hit, for its entry, model and tenant."""
        self._growing.hits[row_id(key)] += 1
        self.count(key, "hits")

    def count(self, key: CacheKey, name: str) -> None:
        """Count something, for a key's model and tenant."""
        self._growing.counts[key.model, key.tenant, name] += 1
        self.totals[name] += 1

    def begin(self) -> Batch:
        """Return the collected batch, to be written; lookups find its entries until ``end``."""
        self._writing, self._growing = self._growing, Batch()
        return self._writing

    def end(self, *, written: bool) -> None:
        """Forget the batch that was being written."""
        batch, self._writing = self._writing, None
        if batch is not None:
            self._bytes -= sum(row.size for row in batch.rows.values())
            self.dropped += 0 if written else len(batch.rows)
