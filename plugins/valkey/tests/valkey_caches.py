"""A cache at a real server, under a fake core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from valkey_servers import Server, folder_prefix

from localagent import CacheEntry
from localagent_testing import FakeCore
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress

PATIENT = 30.0  # seconds of budget: these tests judge no time

Cache = Any  # what ``FakeCore.plugged`` gives


@asynccontextmanager
async def opened(server: Server, folder: Path, **settings: Any) -> AsyncIterator[tuple[FakeCore, Cache]]:
    """Open the cache under a fake core, with a prefix of the folder's own."""
    fields = {"prefix": folder_prefix(folder), "budget": PATIENT, **settings}
    filled = ValkeyCacheSettings(ServerAddress("127.0.0.1", server.port), **fields)
    async with FakeCore(folder=folder) as core, core.plugged(ValkeyCachePlugin, filled) as cache:
        yield core, cache
        await core.settled()


async def store(core: FakeCore, cache: Cache, entry: CacheEntry) -> None:
    await cache.ask("cache_store", core.call(), entry)
