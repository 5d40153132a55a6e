"""The plugin: passes keys and answers to the store, and lets entries expire in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import attrs

from localagent import CacheEntry, CacheKey, Plugin, Sample, hookimpl
from localagent.records import CACHE_INSTRUMENTS, CacheStats, EntryFilter, EntryInfo, cache_counters, cache_sizes
from localagent_cache_memory.figures import EntryFigures, Figures
from localagent_cache_memory.settings import MemoryCacheSettings
from localagent_cache_memory.store import AnswerStore

AT_ONCE = 1000  # entries that expire in one turn of the event loop: less than a millisecond


class MemoryCachePlugin(Plugin):
    """Answers from memory. It comes before all other caches, because it is the fastest."""

    name = "cache-memory"
    settings_class = MemoryCacheSettings
    settings: MemoryCacheSettings
    survives_reload = True
    instruments = CACHE_INSTRUMENTS

    _store: AnswerStore
    _clock: Callable[[], float]
    _timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._store = AnswerStore(self.settings.max_size, self.settings.max_entries, self.settings.ttl)
        self._clock = self.core.clock
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._store.clear()

    @hookimpl(before="cache")
    def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        """Answer with the entry of the first key that has one."""
        return self._store.lookup(keys, self._clock())

    @hookimpl
    def cache_store(self, entry: CacheEntry) -> None:
        """Keep an answer. One from another cache keeps its age; one from this cache is here already."""
        if entry.source == self.name:
            return
        # The wall clock may have been set back; an age is never negative.
        age = max(0.0, self.core.wall_time() - entry.stored) if entry.source else 0.0
        self._store.keep(entry, self._clock(), age)
        if self._timer is None:
            self._wake_up_in(self._store.span)

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        """Report the size of the contents, and the counts since the cache was opened."""
        figures = self._store.figures()
        sizes = cache_sizes(self.name, figures.entries, figures.size, self.settings.max_size)
        return [*sizes, *cache_counters(self.name, **attrs.asdict(figures.total))]

    def figures(self) -> Figures:
        """Return the size of the contents, and the counts since the cache was opened, by model."""
        return self._store.figures()

    def entries(self) -> Iterator[EntryFigures]:
        """Return model, tenant, hits and size of each entry; never a request."""
        return self._store.entries()

    async def cache_stats(self) -> CacheStats:
        """Return how full the cache is, and the counts since it was opened, by model and tenant."""
        figures, settings = self._store.figures(), self.settings
        return CacheStats(figures.entries, figures.size, settings.max_entries, settings.max_size, self._store.counts())

    async def cache_entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield the metadata of entries that have not expired."""
        for _, reported in self._store.chosen(entry_filter, self._clock()):
            yield reported

    async def cache_export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield entries that have not expired."""
        for entry, _ in self._store.chosen(entry_filter, self._clock()):
            yield entry

    async def cache_purge(self, entry_filter: EntryFilter) -> int:
        """Delete entries and return their number."""
        return self._store.purge(entry_filter, self._clock())

    def _wake_up_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        """Remove expired entries; set the timer again unless the cache is empty."""
        self._timer = None
        if self._store.expire(self._clock(), AT_ONCE):
            self._wake_up_in(0.0)
        elif len(self._store):
            self._wake_up_in(self._store.span)
