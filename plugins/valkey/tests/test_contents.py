"""``localagent cache`` shows and deletes the entries of this cache on a server, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkey_caches import opened, store
from valkey_entries import entry_of, key_of
from valkey_servers import Server, folder_prefix

from localagent.errors import PluginError
from localagent.records import CacheContents, EntryFilter
from localagent_testing import FakeCore
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress

MANY = 450  # more than two pages of names


async def test_it_can_be_looked_into(shared_server: Server, tmp_path: Path) -> None:
    """How many answers, their bytes, where; each with its model, tenant and size; and whole."""
    async with opened(shared_server, tmp_path) as (core, cache):
        assert isinstance(cache.plugin, CacheContents)
        for number in range(MANY):
            await store(core, cache, entry_of(number))
        await core.settled()
        figures = await cache.plugin.cache_stats()
        assert (figures.entries, figures.counts[0].stored) == (MANY, MANY)
        assert figures.where == str(ServerAddress("127.0.0.1", shared_server.port))
        reported = [one async for one in cache.plugin.cache_entries(EntryFilter())]
        assert {one.digest for one in reported} == {key_of(number).digest.hex() for number in range(MANY)}
        assert sum(one.size for one in reported) == figures.size > 0
        exported = {entry.key: entry async for entry in cache.plugin.cache_export(EntryFilter())}
        assert exported == {key_of(number): entry_of(number) for number in range(MANY)}


async def test_only_what_is_meant_is_deleted(shared_server: Server, tmp_path: Path) -> None:
    """A tenant's answers go; those of others, of another prefix, and values that are not entries, stay."""
    prefix = folder_prefix(tmp_path) + "[a]*"
    async with (
        opened(shared_server, tmp_path, prefix=prefix) as (core, cache),
        opened(shared_server, tmp_path) as (near, neighbour),
    ):
        for number in range(10):
            await store(core, cache, entry_of(number, tenant="t"))
            await store(core, cache, entry_of(number))
            await store(near, neighbour, entry_of(number, tenant="t"))
        await core.settled()
        await near.settled()
        assert await cache.plugin.cache_purge(EntryFilter(tenant="t")) == 10
        assert [one.tenant async for one in cache.plugin.cache_entries(EntryFilter())] == [""] * 10
        assert await cache.plugin.cache_purge(EntryFilter()) == 10
        assert (await cache.plugin.cache_stats()).entries == 0
        assert await neighbour.plugin.cache_purge(EntryFilter(model="another")) == 0
        assert len([one async for one in neighbour.plugin.cache_entries(EntryFilter())]) == 10


async def test_what_is_no_entry_is_passed_over(shared_server: Server, tmp_path: Path) -> None:
    """Whatever another program has put under such a name."""
    async with opened(shared_server, tmp_path) as (core, cache):
        await store(core, cache, entry_of(1))
        await core.settled()
        client = Redis(host="127.0.0.1", port=shared_server.port)
        await client.set(cache.plugin._prefix + "odd", b"junk")
        await client.aclose()
        assert len([one async for one in cache.plugin.cache_entries(EntryFilter())]) == 1


async def test_a_server_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    """In one sentence; without an address there is nothing."""
    settings = ValkeyCacheSettings(ServerAddress("127.0.0.1", 1))
    async with FakeCore(folder=tmp_path) as core, core.plugged(ValkeyCachePlugin, settings) as cache:
        with pytest.raises(PluginError, match="cache-valkey failed"):
            await cache.plugin.cache_stats()
    async with FakeCore(folder=tmp_path) as core, core.plugged(ValkeyCachePlugin) as cache:
        assert (await cache.plugin.cache_stats()).entries == 0
        assert await cache.plugin.cache_purge(EntryFilter()) == 0
        assert [one async for one in cache.plugin.cache_entries(EntryFilter())] == []
        assert [one async for one in cache.plugin.cache_export(EntryFilter())] == []
