"""The promises of every cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from valkey_entries import key_of
from valkey_servers import Server, folder_prefix

from localagent_testing import CacheContract, FakeCore
from localagent_valkey import ValkeyCachePlugin


class TestContract(CacheContract):
    """One test a promise, at a real server; each folder is a cache of its own."""

    plugin = ValkeyCachePlugin
    shared = True
    server: Server

    @pytest.fixture(autouse=True)
    def at(self, shared_server: Server) -> None:
        """Note the server."""
        type(self).server = shared_server

    def settings(self, folder: Path) -> Mapping[str, Any]:
        """A patience that a busy machine does not wear out: these tests judge no time."""
        return {"url": self.server.url, "prefix": folder_prefix(folder), "budget": "30 s", "pause": "1 ms"}

    @asynccontextmanager
    async def store_down(self, cache: Any, folder: Path) -> AsyncIterator[None]:
        """Have the server refuse everything; afterwards ask until the breaker has closed."""
        self.server.ask("ACL", "SETUSER", "default", "-@all", "+acl")
        yield
        self.server.ask("ACL", "SETUSER", "default", "+@all")
        async with FakeCore() as core:
            while cache.plugin.figures().is_open:
                await cache.ask("cache_lookup", core.call(), (key_of(1),))
                await asyncio.sleep(0.001)
