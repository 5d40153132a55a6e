"""The plugin: reads on the event loop, does the rest in a thread, and tolerates every failure of the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

from localagent import CacheEntry, CacheKey, LocalAgentError, Plugin, Sample, hookimpl
from localagent.errors import PluginError, StartError
from localagent.records import CacheStats, EntryFilter, EntryInfo
from localagent_cache_sqlite import reading, stats
from localagent_cache_sqlite.background import BackgroundFile
from localagent_cache_sqlite.entry_rows import Row, encoded, size_of
from localagent_cache_sqlite.eviction import Bounds, fill
from localagent_cache_sqlite.schema import FILE_NAME, OLDEST
from localagent_cache_sqlite.settings import SqliteCacheSettings

LARGEST = 10  # an entry may take a tenth of the space at most, so it cannot push out most of the others


class SqliteCachePlugin(Plugin):
    """Answers from a file. It comes after the memory caches, because they are faster."""

    name = "cache-sqlite"
    settings_class = SqliteCacheSettings
    settings: SqliteCacheSettings
    instruments = stats.INSTRUMENTS

    _background: BackgroundFile | None = None
    _store: AnswerStore
    _largest: int

    async def __aenter__(self) -> Self:
        if sqlite3.sqlite_version_info < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise PluginError(
                f"cache-sqlite needs SQLite {needed} or newer; this Python has {sqlite3.sqlite_version}.",
                hint="Use a newer Python, or deactivate the plugin.",
            )
        settings = self.settings
        try:
            folder = settings.folder if settings.folder is not None else self.core.folder
        except LocalAgentError as error:  # nothing can be kept: requests are answered without this cache
            self.core.not_kept("answers", error)
            return self
        bounds = Bounds(settings.max_size, settings.max_entries, settings.ttl)
        self._background = BackgroundFile(folder / FILE_NAME, bounds, settings.timeout, self.core.wall_time)
        self._store = AnswerStore(
            self._background, ttl=settings.ttl, clock=self.core.clock, wall_time=self.core.wall_time
        )
        self._largest = min(settings.max_answer, settings.max_size // LARGEST)
        await self._background.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._background is not None:
            await self._background.aclose()

    @hookimpl
    def collect_stats(self) -> Sequence[Sample] | None:
        """Report the counts of this process, and what is in the file, which processes may share."""
        return None if self._background is None else list(stats.samples(self.name, self._background))

    @hookimpl
    def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        """Answer with the entry of the first key that has one."""
        return self._store.lookup(keys) if self._background is not None else None

    @hookimpl
    def cache_store(self, entry: CacheEntry) -> None:
        """Keep an answer. One from another cache keeps its age; one from this cache is here already."""
        if entry.source == self.name or self._background is None:
            return
        now = self.core.wall_time()
        made = min(entry.stored, now) if entry.source else now
        if now - made >= self.settings.ttl:
            return
        record = encoded(entry)
        if record is None:
            return
        size = size_of(record, len(entry.key.model) + len(entry.key.tenant))
        if size > self._largest:
            self._store.refuse(entry.key)
        else:
            self._store.keep(Row(entry, made, record, size))

    async def flushed(self) -> None:
        """Wait until all answers so far are in the file or were dropped."""
        if self._background is not None:
            await self._background.flushed()

    def _kept(self) -> BackgroundFile:
        if self._background is None:
            raise StartError("cache-sqlite keeps no answers, because it has no folder for its file.",
                             hint="Set state_folder in the settings.")  # fmt: skip
        return self._background

    async def cache_stats(self) -> CacheStats:
        """Return how full the file is, and the counts of all processes that share it.

        Raises:
            StartError: The file cannot be used now.
        """
        (small, main), counts = await self._kept().ask(lambda file: (fill(file), reading.counts(file)))
        return CacheStats(
            small.entries + main.entries, small.size + main.size, self.settings.max_entries, self.settings.max_size,
            counts, str(self._kept().path),
        )  # fmt: skip

    async def cache_entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield the metadata of entries that have not expired.

        Raises:
            StartError: The file cannot be used now.
        """
        now, ttl = self.core.wall_time(), self.settings.ttl
        async for page in self._kept().pages(lambda file: reading.listed(file, entry_filter, now, ttl)):
            for kept in page:
                yield kept

    async def cache_export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield entries that have not expired, answers included.

        Raises:
            StartError: The file cannot be used now.
        """
        now, ttl = self.core.wall_time(), self.settings.ttl
        async for page in self._kept().pages(lambda file: reading.exported(file, entry_filter, now, ttl)):
            for entry in page:
                yield entry

    async def cache_purge(self, entry_filter: EntryFilter) -> int:
        """Delete entries, free their disk space and return their number.

        Raises:
            StartError: The file cannot be used now.
        """
        now, ttl = self.core.wall_time(), self.settings.ttl
        return await self._kept().ask(lambda file: reading.purge(file, entry_filter, now, ttl))


class AnswerStore:
    """The answers of one file, for the event loop. It reads on the loop; one thread does everything else.

    A read takes about 12 us on the loop; in a thread 205 us, or 2,300 us if the loop is busy, because the interpreter
    lock changes hands at every row (measured with CPython 3.13 and 10,000 entries of 4 KB). Reads never wait for a
    writer. After a slow read, the loop does not read again until a read in the thread was fast.

    Args:
        background: The file.
        ttl: Seconds after which an entry expires.
        clock: Monotonic seconds.
        wall_time: Seconds since the epoch.
    """

    def __init__(
        self, background: BackgroundFile, *, ttl: float, clock: Callable[[], float], wall_time: Callable[[], float]
    ) -> None:
        self._background = background
        self._pending = background.pending
        self._disk_guard = background.disk_guard
        self._ttl = ttl
        self._clock = clock
        self._wall_time = wall_time

    def lookup(self, keys: Sequence[CacheKey]) -> CacheEntry | None:
        """Return the entry of the first key that has one, and count the hit; or count a miss, for the first model."""
        now = self._wall_time()
        for key in keys:
            entry = self._find(key, now)
            if entry is not None:
                self._pending.hit(key)
                return entry
        if keys:
            self._pending.count(keys[0], "misses")
        return None

    def _find(self, key: CacheKey, now: float) -> CacheEntry | None:
        row = self._pending.find(key)
        if row is not None:
            return row.entry if reading.fresh(row.made, now, self._ttl) else None
        file = self._background.file
        if file is None or self._disk_guard.over or self._pending.hides(key):
            return None
        began = self._clock()
        number = file.number
        try:
            return file.read(reading.find, key, now, self._ttl)
        except sqlite3.Error as error:
            self._background.repair_soon(number, error)
            return None
        finally:
            self._disk_guard.note(self._clock() - began)

    def keep(self, row: Row) -> None:
        """Add an entry to be written; lookups find it from now on."""
        self._pending.keep(row)
        self._work_if_pressing()

    def refuse(self, key: CacheKey) -> None:
        """Count an entry that is too large, and remove the outdated entry of its key."""
        self._pending.count(key, "too_large")
        self._pending.let_go(key)
        self._work_if_pressing()

    def _work_if_pressing(self) -> None:
        if self._pending.is_pressing:
            self._background.work()
