"""The instruments of caches, so that all of them report alike."""

from __future__ import annotations

from collections.abc import Iterator

from localagent.records.stats import Instrument, Sample

_PLUGIN = ("plugin",)

ENTRIES = Instrument("cache.entries", "gauge", "Answers in the memory of caches.", labels=_PLUGIN)
SIZE = Instrument("cache.size", "gauge", "Size of the answers in the memory of caches.", unit="bytes", labels=_PLUGIN)
MAX_SIZE = Instrument("cache.max_size", "gauge", "The most that they may take.", unit="bytes", labels=_PLUGIN)
HITS = Instrument("cache.hits", "counter", "Lookups that a cache answered.", labels=_PLUGIN)
MISSES = Instrument("cache.misses", "counter", "Lookups that a cache did not answer.", labels=_PLUGIN)
STORED = Instrument("cache.stored", "counter", "Answers that were stored.", labels=_PLUGIN)
EVICTED = Instrument("cache.evictions", "counter", "Answers that were removed to make room.", labels=_PLUGIN)
EXPIRED = Instrument("cache.expirations", "counter", "Answers that were removed because of their age.", labels=_PLUGIN)
TOO_LARGE = Instrument("cache.too_large", "counter", "Answers that were not stored because of their size.",
                       labels=_PLUGIN)  # fmt: skip

CACHE_INSTRUMENTS = (ENTRIES, SIZE, MAX_SIZE, HITS, MISSES, STORED, EVICTED, EXPIRED, TOO_LARGE)
"""The instruments that caches share."""

_COUNTERS = {
    "hits": HITS, "misses": MISSES, "stored": STORED, "evicted": EVICTED, "expired": EXPIRED, "too_large": TOO_LARGE,
}  # fmt: skip


def cache_counters(plugin: str, **counts: int) -> Iterator[Sample]:
    """Yield the samples of a cache's counts.

    Args:
        plugin: The plugin's name.
        counts: The counts of this process by their names in ``CacheCounts``: hits, misses, stored, evicted, expired,
            too_large.
    """
    for name, count in counts.items():
        yield _COUNTERS[name].sample(count, plugin)


def cache_sizes(plugin: str, entries: int, size: int, max_size: int | None = None) -> Iterator[Sample]:
    """Yield the samples of what a cache has in the memory of this process.

    Args:
        plugin: The plugin's name.
        entries: The number of answers.
        size: Their size in bytes.
        max_size: The most bytes that they may take; None if there is no limit.
    """
    yield ENTRIES.sample(entries, plugin)
    yield SIZE.sample(size, plugin)
    if max_size is not None:
        yield MAX_SIZE.sample(max_size, plugin)
