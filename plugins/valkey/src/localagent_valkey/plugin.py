"""The plugin: stores entries as values on the server; failures of the server never affect a call."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from localagent import CacheEntry, CacheKey, Plugin, Sample, Settings, hookimpl
from localagent.records import (
    CACHE_INSTRUMENTS,
    CacheCounts,
    CacheStats,
    EntryFilter,
    EntryInfo,
    cache_counters,
    pack_entry,
    unpack_entry,
)
from localagent.settings import SecretMissing
from localagent.timing import in_thread
from localagent_valkey.breaker import Breaker, Permit
from localagent_valkey.figures import DAMAGED, FAILED, INSTRUMENTS, PAUSED, SKIPPED, ValkeyFigures
from localagent_valkey.settings import ValkeyCacheSettings
from localagent_valkey.values import VERSION, NoEntryError, packed, unpacked, unpacked_length

if TYPE_CHECKING:  # these import redis-py, which takes 350 ms; the plugin may be installed and not used
    from redis.asyncio import Redis

    from localagent_valkey.connections import Connections
    from localagent_valkey.contents import Contents
    from localagent_valkey.guard import Guard

log = logging.getLogger("localagent")

SLOW_TO_PACK, SLOW_TO_UNPACK = 64 * 1024, 256 * 1024  # bytes that take zlib about a millisecond


class ValkeyCachePlugin(Plugin):
    """Answers from a server that machines share. It comes after all other caches, because it is the slowest."""

    name = "cache-valkey"
    settings_class = ValkeyCacheSettings
    settings: ValkeyCacheSettings
    instruments = (*CACHE_INSTRUMENTS, *INSTRUMENTS)

    _connections: Connections | None = None
    _lookups: Guard
    _stores: Guard
    _figures: ValkeyFigures

    def remarks(self, settings: Settings) -> Iterable[str]:
        """Return the reason why the plugin does nothing, if that is so."""
        return () if self.settings.url else ("cache-valkey does nothing: [plugins.cache-valkey] has no url.",)

    async def __aenter__(self) -> Self:
        self._figures = ValkeyFigures()
        if (address := self.settings.url) is not None:
            from localagent_valkey.connections import Connections
            from localagent_valkey.guard import Guard

            try:
                self._connections = Connections(address, self.settings)
            except SecretMissing as error:  # its password is missing: requests are answered without this cache
                log.warning("cache-valkey does nothing: %s", error)
                return self
            self._lookups, self._stores = (
                Guard(f"{what} at {address}", self._connections, Breaker(self.settings.pause),
                      clock=self.core.clock, figures=self._figures)
                for what in ("Lookups", "Stores")
            )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            await self._connections.aclose()

    @hookimpl
    def collect_stats(self) -> Sequence[Sample] | None:
        """Report the counts since the cache was opened; the server's contents are not counted here."""
        if self._connections is None:
            return None
        figures = self._figures
        counts = {name: getattr(figures, name) for name in ("hits", "misses", "stored", "too_large")}
        troubles = (FAILED.sample(figures.failed), SKIPPED.sample(figures.skipped), DAMAGED.sample(figures.damaged))
        return [*cache_counters(self.name, **counts), *troubles, PAUSED.sample(int(self._lookups.breaker.is_open))]

    @hookimpl(after="cache")
    async def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
        """Answer with the entry of the first key that has one, in one round trip for all keys."""
        entry = None
        if self._connections is not None and keys and (permit := self._lookups.admit()) is not None:
            if permit.probe:
                self.core.spawn(self._probe(permit, keys), "cache-valkey probe")
            else:
                entry = await self._looked_up(permit, keys)
        if entry is None:
            self._figures.misses += 1
        else:
            self._figures.hits += 1
        return entry

    async def _probe(self, permit: Permit, keys: Sequence[CacheKey]) -> None:
        """Run a caller's lookup as a probe in the background; the caller does not wait for it."""
        await self._lookups.run(permit, lambda server: server.mget(self._names(keys)))

    async def _looked_up(self, permit: Permit, keys: Sequence[CacheKey]) -> CacheEntry | None:
        names = self._names(keys)
        values: list[Any] | None = await self._lookups.run(permit, lambda server: server.mget(names))
        for key, name, value in zip(keys, names, values or (), strict=False):
            entry = None if value is None else await self._entry_in(value, name)
            # The whole key is compared, including the second hash, the size and the tenant.
            if entry is not None and entry.key == key:
                return entry
        return None

    async def _entry_in(self, value: bytes, name: bytes | str) -> CacheEntry | None:
        """Return the entry in a value; a damaged value is deleted in the background."""
        try:
            if unpacked_length(value) > SLOW_TO_UNPACK:
                return await in_thread(self._opened, value)
            return self._opened(value)
        except NoEntryError:
            self._figures.damaged += 1
            self.core.spawn(self._delete(name), "cache-valkey delete")
            return None

    def _opened(self, value: bytes) -> CacheEntry | None:
        data = unpacked(value, self.settings.max_value)
        if data is None:
            return None
        entry = unpack_entry(data)
        if entry is None:
            raise NoEntryError("no record")
        return entry

    async def _delete(self, name: bytes | str) -> None:
        if (permit := self._stores.admit()) is not None:
            await self._stores.run(permit, lambda server: server.delete(name))

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        """Keep an answer. Answers from other caches are skipped: they were stored here when they were new."""
        if self._connections is None or entry.source:
            return
        if (permit := self._stores.admit()) is None:
            return
        value = await self._value_of(entry)
        if value is not None and await self._stores.run(permit, lambda server: self._set(server, entry.key, value)):
            self._figures.stored += 1

    async def _value_of(self, entry: CacheEntry) -> bytes | None:
        data = pack_entry(entry)
        if data is None:
            return None
        if len(data) > self.settings.max_value:
            self._figures.too_large += 1
            return None
        if len(data) > max(SLOW_TO_PACK, self.settings.compress_above):
            return await in_thread(packed, data, self.settings.compress_above)
        return packed(data, self.settings.compress_above)

    async def _set(self, server: Redis, key: CacheKey, value: bytes) -> bool:
        return bool(await server.set(self._name(key), value, px=max(1, round(self.settings.ttl * 1000))))

    def _names(self, keys: Sequence[CacheKey]) -> list[bytes | str]:
        return [self._name(key) for key in keys]

    def _name(self, key: CacheKey) -> bytes:
        return f"{self._prefix}{key.digest.hex()}".encode()

    @property
    def _prefix(self) -> str:
        return f"{self.settings.prefix}{VERSION}:"

    def _contents(self) -> Contents | None:
        if self._connections is None:
            return None
        from localagent_valkey.contents import Contents

        return Contents(self._connections, self._prefix, self._opened, self.core.wall_time)

    async def cache_stats(self) -> CacheStats:
        """Return how full the shared cache is, and the counts of this process."""
        contents, own = self._contents(), self._figures
        entries, size = (0, 0) if contents is None else await contents.extent()
        counts = CacheCounts(hits=own.hits, misses=own.misses, stored=own.stored, too_large=own.too_large)
        listed = () if counts == CacheCounts() else (counts,)
        return CacheStats(entries, size, counts=listed, where=str(self.settings.url or "no server: it has no url"))

    async def cache_entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield the metadata of matching entries."""
        if (contents := self._contents()) is not None:
            async for listed in contents.entries(entry_filter):
                yield listed

    async def cache_export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield matching entries."""
        if (contents := self._contents()) is not None:
            async for entry in contents.export(entry_filter):
                yield entry

    async def cache_purge(self, entry_filter: EntryFilter) -> int:
        """Delete matching entries for all machines and return their number."""
        contents = self._contents()
        return 0 if contents is None else await contents.purge(entry_filter)

    def figures(self) -> ValkeyFigures:
        """Return the counts since the cache was opened."""
        is_open = self._connections is not None and self._lookups.breaker.is_open
        return attrs.evolve(self._figures, is_open=is_open)
