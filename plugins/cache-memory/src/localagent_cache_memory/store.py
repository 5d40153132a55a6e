"""The answers that are kept: within their bounds, until they expire, and counted. No I/O, no clock, no thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from localagent import CacheEntry, CacheKey
from localagent.records import CacheCounts, EntryFilter, EntryInfo
from localagent_cache_memory.deadlines import Deadlines
from localagent_cache_memory.figures import Counts, EntryFigures, Figures
from localagent_cache_memory.s3fifo import S3Fifo
from localagent_cache_memory.sizes import size_of

LARGEST = 10  # an entry takes at most one part in so many of the room: none may push out most of the others
SPANS = 64  # into which the time to live is cut; what has expired takes memory for one of them more, at most
SHORTEST = 1.0  # seconds of a span, however short the time to live: each ends with a wake-up
PAIRS = 1000  # of model and tenant that are counted by name; some servers answer to any name


class _Kept:
    """An entry and what is known of it."""

    __slots__ = ("counts", "deadline", "entry", "hits", "size")

    def __init__(self, entry: CacheEntry, size: int, deadline: float, counts: Counts) -> None:
        self.entry = entry
        self.size = size
        self.deadline = deadline
        self.counts = counts
        self.hits = 0


class AnswerStore:
    """Entries by the digests of their keys. Times are those of one clock, in seconds.

    Args:
        max_size: The most bytes, as ``size_of`` counts them.
        max_entries: The most entries.
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
        """Keep an entry, in the place of an older one.

        Args:
            entry: The entry.
            now: The time.
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
        """Let go what has expired, at most ``limit`` entries; say whether there may be more."""
        over = self._deadlines.over(now, limit)
        for digest in over:
            kept = self._entries.pop(digest)
            if kept is not None:
                kept.counts.expired += 1
        return len(over) == limit

    def clear(self) -> None:
        """Let go everything; the counts stay."""
        self._entries.clear()
        self._deadlines.clear()

    def figures(self) -> Figures:
        """Return the counts so far."""
        models: dict[str, Counts] = {}
        for (model, _), counts in self._pairs.items():
            models.setdefault(model, Counts()).add(counts)
        return Figures(len(self), self._entries.size, _sum((*models.values(), self._others)), models)

    def counts(self) -> tuple[CacheCounts, ...]:
        """Return the counts so far of each model and tenant; those that are not counted by name come last."""
        pairs = [*sorted(self._pairs.items()), *([(("", ""), self._others)] if self._others != Counts() else [])]
        return tuple(CacheCounts(model, tenant, **attrs.asdict(counts)) for (model, tenant), counts in pairs)

    def entries(self) -> Iterator[EntryFigures]:
        """Return what there is to tell of each entry."""
        for _, kept in self._entries:
            yield EntryFigures(kept.entry.key.model, kept.entry.key.tenant, kept.hits, kept.size)

    def chosen(self, entry_filter: EntryFilter, now: float) -> list[tuple[CacheEntry, EntryInfo]]:
        """Return the entries that are meant and have not expired, and what there is to tell of each."""
        found = []
        for digest, kept in self._entries:
            key, age = kept.entry.key, now - (kept.deadline - self._ttl)
            if now < kept.deadline and entry_filter.fits(key, age):
                reported = EntryInfo(digest.hex(), key.model, key.tenant, age, kept.size, kept.hits)
                found.append((kept.entry, reported))
        return found

    def purge(self, entry_filter: EntryFilter, now: float) -> int:
        """Let entries go, those that have expired included; return how many."""
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
