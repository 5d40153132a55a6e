"""What waits to be written: batched while the thread is busy, and found meanwhile. It knows no file and no thread."""

from __future__ import annotations

from collections import Counter

import attrs

from localagent import CacheKey
from localagent_cache_sqlite.entry_rows import Row, row_id

MOST_BYTES = 32 * 2**20  # of entries that wait; a disk that is too slow for more loses some, and memory does not grow
MOST_COUNTS = 10_000  # of hits and counts that wait


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


class PendingWrites:
    """Two batches: the one that is being written, and the one that grows meanwhile.

    Attributes:
        dropped: Entries that were not written, for want of room or because of a trouble.
    """

    def __init__(self) -> None:
        self._growing = Batch()
        self._writing: Batch | None = None
        self._bytes = 0
        self.dropped = 0

    @property
    def is_pressing(self) -> bool:
        """Whether there is something to write that should not wait for the next regular time."""
        batch = self._growing
        return bool(batch.rows or batch.gone) or len(batch.hits) + len(batch.counts) > MOST_COUNTS

    def __bool__(self) -> bool:
        return bool(self._growing) or self._writing is not None

    def find(self, key: CacheKey) -> Row | None:
        """Return the entry of a key that waits; the whole key is compared."""
        id = row_id(key)
        row = self._growing.rows.get(id)
        if row is None and self._writing is not None and id not in self._growing.gone:
            row = self._writing.rows.get(id)
        return row if row is not None and row.entry.key == key else None

    def hides(self, key: CacheKey) -> bool:
        """Say whether what the file has under a key is over, though it does not know yet."""
        id = row_id(key)
        return id in self._growing.gone or (self._writing is not None and id in self._writing.gone)

    def keep(self, row: Row) -> None:
        """Have an entry written, in the place of an older one; it is dropped where too much waits."""
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
        """Have what is under a key removed."""
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

    def begin(self) -> Batch:
        """Return what has grown, to be written; it is found until ``end``."""
        self._writing, self._growing = self._growing, Batch()
        return self._writing

    def end(self, *, written: bool) -> None:
        """Forget the batch that was being written."""
        batch, self._writing = self._writing, None
        if batch is not None:
            self._bytes -= sum(row.size for row in batch.rows.values())
            self.dropped += 0 if written else len(batch.rows)
