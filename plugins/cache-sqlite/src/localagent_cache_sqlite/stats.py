"""What the plugin reports: the counts of this process, and the contents of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from localagent import Instrument, Sample
from localagent.records import CACHE_INSTRUMENTS, cache_counters
from localagent_cache_sqlite.background import BackgroundFile
from localagent_cache_sqlite.eviction import fill

ENTRIES = Instrument("cache.file.entries", "gauge", "Answers in the file.", labels=("plugin",), merge="max")
SIZE = Instrument("cache.file.size", "gauge", "Size of the answers in the file.", unit="bytes", labels=("plugin",),
                  merge="max")  # fmt: skip
DROPPED = Instrument("cache.file.dropped", "counter", "Answers that were not written, because the disk was too slow or "
                     "a write failed.", labels=("plugin",))  # fmt: skip

INSTRUMENTS = (*CACHE_INSTRUMENTS, ENTRIES, SIZE, DROPPED)
"""The instruments of cache-sqlite."""


def samples(plugin: str, background: BackgroundFile) -> Iterator[Sample]:
    """Yield the samples; without those of the file while it cannot be read on the event loop."""
    yield from cache_counters(plugin, **background.pending.totals)
    yield DROPPED.sample(background.pending.dropped, plugin)
    file = background.file
    if file is None or background.disk_guard.over:
        return
    try:
        filled = file.read(fill)
    except sqlite3.Error:
        return
    if filled is None:
        return
    small, main = filled
    yield ENTRIES.sample(small.entries + main.entries, plugin)
    yield SIZE.sample(small.size + main.size, plugin)
