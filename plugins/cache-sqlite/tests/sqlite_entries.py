"""Entries with made-up keys, of any size, and the plugin with a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from localagent import CacheEntry, CacheKey, ChatResponse
from localagent_cache_sqlite import SqliteCachePlugin, SqliteCacheSettings
from localagent_testing import FakeCore, ManualClock

FILE = "answers-2.db"
NOW = 1_000_000.0


def key_of(number: int, *, model: str = "fake/m", tenant: str = "") -> CacheKey:
    """Return the key of some request; another number, model or tenant makes another one."""
    digest = hashlib.sha256(f"{number} {model} {tenant}".encode()).digest()
    return CacheKey(digest, hashlib.blake2b(b"%d" % number, digest_size=16).digest(), number % 7, model, tenant)


def entry_of(number: int, *, length: int = 10, stored: float = NOW, source: str = "", **key: str) -> CacheEntry:
    """Return an entry whose answer has so many bytes, that name its number."""
    raw = b"%d " % number + b"x" * length
    return CacheEntry(key_of(number, **key), ChatResponse(raw=raw), None, stored, source)


def files(folder: Path) -> dict[str, Path]:
    """Return the files in a folder, by their names."""
    return {file.name: file for file in folder.iterdir()}


class Cache:
    """A plugged cache, and the clocks that it goes by."""

    def __init__(self, plugin: SqliteCachePlugin, core: FakeCore) -> None:
        self.plugin, self.core = plugin, core

    def keep(self, *entries: CacheEntry) -> None:
        for entry in entries:
            self.plugin.cache_store(entry)

    def find(self, *keys: CacheKey) -> CacheEntry | None:
        found: CacheEntry | None = self.plugin.cache_lookup(keys)
        return found

    def numbers(self, numbers: Any) -> list[int]:
        """Return those of these numbers whose entries are found."""
        return [number for number in numbers if self.find(key_of(number)) is not None]

    async def flushed(self) -> None:
        await self.plugin.flushed()


@asynccontextmanager
async def opened(
    folder: Path,
    wall_time: Callable[[], float] = lambda: NOW,
    clock: Callable[[], float] | None = None,
    **settings: Any,
) -> AsyncIterator[Cache]:
    """Open the cache in a folder; how quick the disk is today is not judged, unless by a clock that is passed."""
    clock = clock or ManualClock()
    made = SqliteCacheSettings(folder=folder, **settings)
    async with FakeCore(wall_time=wall_time, clock=clock) as core, core.plugged(SqliteCachePlugin, made) as plugged:
        yield Cache(plugged.plugin, core)
