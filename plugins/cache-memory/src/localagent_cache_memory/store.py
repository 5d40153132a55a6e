"""The store of answers: limits, expiry and counts. It does no I/O, reads no clock and starts no thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from localagent import CacheEntry, CacheKey
from localagent.records import CacheCounts, EntryFilter, EntryInfo
from localagent_cache_memory.deadlines import Deadlines
from localagent_cache_memory.figures import Counts, EntryFigures, Figures
from localagent_cache_memory.s3fifo import S3Fifo
from localagent_cache_memory.sizes import size_of

LARGEST = 10  # an entry may take a tenth of the space at most, so it cannot push out most of the others
SPANS = 64  # the time to live is divided into so many spans; an expired entry stays in memory for one span at most
SHORTEST = 1.0  # the minimum seconds of a span, because each ends with a wake-up
PAIRS = 1000  # pairs of model and tenant that are counted by name; some servers accept any model name


class _Kept:
    """An entry and its metadata."""

    __slots__ = ("counts", "deadline", "entry", "hits", "size")

    def __init__(self, entry: CacheEntry, size: int, deadline: float, counts: Counts) -> None:
        self.entry = entry
        self.size = size
        self.deadline = deadline
        self.counts = counts
        self.hits = 0


class AnswerStore:
    """Entries by the digests of their keys. All times are seconds of the same clock.

    Args:
        max_size: The maximum size in bytes, as ``size_of`` counts it.
        max_entries: The maximum number of entries.
        ttl: Seconds until an entry expires.

    Attributes:
        span: Seconds after which ``expire`` may find something new.
    """

    def __init__(self, max_size: int, max_entries: int, ttl: float) -> None:
        self.span = max(ttl / SPANS, SHORTEST)
        self._ttl = ttl
        self._largest = max_size // LARGEST
        self._entries: S3Fifo[bytes, _Kept] = S3Fifo(max_size, max_entries)
        self._deadlines: Deadlines[bytes] = Deadlines(self.span)
        self._pairs: dict[tuple[str, str], Counts] = {}
        self._others = Counts()

    def __len__(self) -> int:
        return len(self._entries)

    def lookup(self, keys: Sequence[CacheKey], now: float) -> CacheEntry | None:
        """Return the entry of the first key that has one, and count the hit; or count a miss, for the first model."""
        for key in keys:
            kept = self._entries.get(key.digest)
            # The whole key is compared: the second hash and the tenant, too.
            if kept is not None and now < kept.deadline and kept.entry.key == key:
                kept.hits += 1
                kept.counts.hits += 1
                return kept.entry
        if keys:
            self._pairs.get((keys[0].model, keys[0].tenant), self._others).misses += 1
        return None

    def keep(self, entry: CacheEntry, now: float, age: float = 0.0) -> None:
        """Keep an entry, replacing an older one.

        Args:
            entry: The entry.
            now: The current time.
            age: Seconds since its answer was made.
        """
        if age >= self._ttl:
            return
        digest = entry.key.digest
        counts = self._counts_of(entry.key)
        old = self._entries.peek(digest)
        if old is not None:
            self._deadlines.discard(digest, old.deadline)
        size = size_of(entry)
        if size > self._largest:
            self._entries.pop(digest)
            counts.too_large += 1
            return
        counts.stored += 1
        self._insert(digest, _Kept(entry, size, now + self._ttl - age, counts))

    def _insert(self, digest: bytes, kept: _Kept) -> None:
        self._deadlines.add(digest, kept.deadline)
        for gone, evicted in self._entries.put(digest, kept, kept.size):
            self._deadlines.discard(gone, evicted.deadline)
            evicted.counts.evicted += 1

    def expire(self, now: float, limit: int) -> bool:
        """Remove at most ``limit`` expired entries; return whether there may be more."""
        over = self._deadlines.over(now, limit)
        for digest in over:
            kept = self._entries.pop(digest)
            if kept is not None:
                kept.counts.expired += 1
        return len(over) == limit

    def clear(self) -> None:
        """Remove all entries; the counts stay."""
        self._entries.clear()
        self._deadlines.clear()

    def figures(self) -> Figures:
        """Return the counts so far."""
        models: dict[str, Counts] = {}
        for (model, _), counts in self._pairs.items():
            models.setdefault(model, Counts()).add(counts)
        return Figures(len(self), self._entries.size, _sum((*models.values(), self._others)), models)

    def counts(self) -> tuple[CacheCounts, ...]:
        """Return the counts so far by model and tenant; the sum of those that have no own count comes last."""
        pairs = [*sorted(self._pairs.items()), *([(("", ""), self._others)] if self._others != Counts() else [])]
        return tuple(CacheCounts(model, tenant, **attrs.asdict(counts)) for (model, tenant), counts in pairs)

    def entries(self) -> Iterator[EntryFigures]:
        """Return the metadata of each entry."""
        for _, kept in self._entries:
            yield EntryFigures(kept.entry.key.model, kept.entry.key.tenant, kept.hits, kept.size)

    def chosen(self, entry_filter: EntryFilter, now: float) -> list[tuple[CacheEntry, EntryInfo]]:
        """Return the matching entries that have not expired, each with its metadata."""
        found = []
        for digest, kept in self._entries:
            key, age = kept.entry.key, now - (kept.deadline - self._ttl)
            if now < kept.deadline and entry_filter.fits(key, age):
                info = EntryInfo(digest.hex(), key.model, key.tenant, age, kept.size, kept.hits)
                found.append((kept.entry, info))
        return found

    def purge(self, entry_filter: EntryFilter, now: float) -> int:
        """Remove matching entries, including expired ones, and return their number."""
        ages = [(digest, kept, now - (kept.deadline - self._ttl)) for digest, kept in self._entries]
        meant = [(digest, kept) for digest, kept, age in ages if entry_filter.fits(kept.entry.key, age)]
        for digest, kept in meant:
            self._entries.pop(digest)
            self._deadlines.discard(digest, kept.deadline)
        return len(meant)

    def _counts_of(self, key: CacheKey) -> Counts:
        pair = key.model, key.tenant
        counts = self._pairs.get(pair)
        if counts is None:
            if len(self._pairs) >= PAIRS:
                return self._others
            counts = self._pairs[pair] = Counts()
        return counts


def _sum(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        total.add(counts)
    return total
