"""The promises of every cache."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from localagent_cache_sqlite import SqliteCachePlugin
from localagent_testing import CacheContract


class TestContract(CacheContract):
    """One test a promise, with the settings that a user gets who sets nothing."""

    plugin = SqliteCachePlugin
    shared = True

    async def settled(self, cache: Any) -> None:
        """Wait for the file."""
        await cache.plugin.flushed()

    @asynccontextmanager
    async def store_down(self, cache: Any, folder: Path) -> AsyncIterator[None]:
        """Put a folder in the file's place."""
        await cache.plugin.flushed()
        clear(folder)
        (folder / "answers-2.db").mkdir()
        yield
        (folder / "answers-2.db").rmdir()


def clear(folder: Path) -> None:
    """Remove all files in a folder."""
    for file in folder.iterdir():
        file.unlink()
