"""``MemoryCachePlugin``: its name, settings, age and figures, and that it lets go without being asked."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points

import pytest
from cache_entries import entry_of, key_of

from localagent import CacheEntry, CacheKey, Client, Plugin, hookimpl
from localagent.errors import SettingsError
from localagent_cache_memory import MemoryCachePlugin, MemoryCacheSettings
from localagent_testing import FakeCore, Reply, fake_provider_plugin

MINUTE = MemoryCacheSettings(ttl=60.0)


async def ask(client: Client, prompt: str, **more: object) -> str:
    """Ask something that may be cached; return the plugin that answered, or nothing when a model did."""
    response = await client.chat(prompt, temperature=0, **more)
    await asyncio.sleep(0)  # an answer is kept after its delivery: a turn of the event loop later
    return response.cached


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under the name that it has in tests, too."""
    (entry,) = entry_points(group="localagent", name="cache-memory")
    assert entry.load() is MemoryCachePlugin
    assert MemoryCachePlugin.name == "cache-memory"


async def test_settings_are_read_with_their_units() -> None:
    """Sizes and times are written as people write them."""
    table = {"max_size": "1 MiB", "max_entries": 2, "ttl": "5 min"}
    async with Client({"plugins": {"cache-memory": table}}, plugins=[MemoryCachePlugin], environment={}) as client:
        plugin = (await client.runtime()).pipeline.plugins["cache-memory"]
        assert plugin.settings == MemoryCacheSettings(2**20, 2, 300.0)


@pytest.mark.parametrize("table", [{"max_size": "much"}, {"max_entries": 0}, {"ttl": 0}, {"maxsize": 1}])
async def test_wrong_settings_are_refused(table: dict[str, object]) -> None:
    """At start, with the table's name."""
    client = Client({"plugins": {"cache-memory": table}}, plugins=[MemoryCachePlugin], environment={})
    with pytest.raises(SettingsError, match="cache-memory"):
        async with client:
            pass


@pytest.mark.virtual
async def test_an_answer_grows_too_old() -> None:
    """``ttl`` after it was made it is not used any more; hits do not prolong its life."""
    settings = {"plugins": {"cache-memory": {"ttl": "1 min"}}}
    async with Client(settings, plugins=[fake_provider_plugin(), MemoryCachePlugin], environment={}) as client:
        answered = []
        for _ in range(4):
            answered.append(await ask(client, "Name a colour."))
            await asyncio.sleep(25)
    assert answered == ["", "cache-memory", "cache-memory", ""]


@pytest.mark.virtual
async def test_memory_is_freed_though_nobody_asks() -> None:
    """Soon after their time 2,500 entries are gone, and no timer is left that would wake anybody up."""
    async with FakeCore() as core, core.plugged(MemoryCachePlugin, MINUTE) as cache:
        for number in range(2_500):
            await cache.ask("cache_store", core.call(), entry_of(number))
        await asyncio.sleep(59)
        assert cache.plugin.figures().entries == 2_500
        await asyncio.sleep(4)
        assert (cache.plugin.figures().entries, cache.plugin.figures().size) == (0, 0)
        assert cache.plugin._timer is None


@pytest.mark.virtual
async def test_an_answer_of_another_cache_keeps_its_age() -> None:
    """What was made 50 seconds ago has 10 of its minute left; a clock that was set back makes nobody immortal."""
    async with FakeCore() as core, core.plugged(MemoryCachePlugin, MINUTE) as cache:
        old = entry_of(1, stored=core.wall_time() - 50, source="cache-other")
        ahead = entry_of(2, stored=core.wall_time() + 9_999, source="cache-other")
        for entry in (old, ahead):
            await cache.ask("cache_store", core.call(), entry)
        await asyncio.sleep(9)
        assert await cache.ask("cache_lookup", core.call(), (key_of(1),)) == old
        await asyncio.sleep(1)
        assert await cache.ask("cache_lookup", core.call(), (key_of(1),)) is None
        await asyncio.sleep(50)
        assert await cache.ask("cache_lookup", core.call(), (key_of(2),)) is None


@pytest.mark.virtual
async def test_its_own_hit_is_not_stored_anew() -> None:
    """The core passes hits to all caches, also a cache's own: that does not extend its lifetime."""
    async with FakeCore() as core, core.plugged(MemoryCachePlugin, MINUTE) as cache:
        await cache.ask("cache_store", core.call(), entry_of(1))
        await cache.ask("cache_store", core.call(), entry_of(1, stored=core.wall_time(), source="cache-memory"))
        assert cache.plugin.figures().total.stored == 1


async def test_it_is_asked_before_other_caches() -> None:
    """What is nearest comes first, whatever the names say."""

    class Farther(Plugin):
        name = "cache-a"
        asked = 0

        @hookimpl
        def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
            type(self).asked += 1
            return None

    async with Client({}, plugins=[fake_provider_plugin(), Farther, MemoryCachePlugin], environment={}) as client:
        assert [await ask(client, "Name a colour.") for _ in range(3)] == ["", "cache-memory", "cache-memory"]
    assert Farther.asked == 1


async def test_figures_tell_of_models_and_entries_and_of_no_prompt() -> None:
    """Hits and misses by model; each entry with its tenant."""
    model = fake_provider_plugin(Reply("Red."))
    async with Client({}, plugins=[model, MemoryCachePlugin], environment={}) as client:
        for tenant in ("a", "a", "b", "a"):
            await ask(client, "Name a colour.", tenant=tenant)
        plugin = (await client.runtime()).pipeline.plugins["cache-memory"]
        assert isinstance(plugin, MemoryCachePlugin)
        figures, entries = plugin.figures(), list(plugin.entries())
    assert (figures.total.hits, figures.total.misses, figures.total.stored) == (2, 2, 2)
    assert [counts.hits for counts in figures.models.values()] == [2]
    assert sorted((entry.tenant, entry.hits) for entry in entries) == [("a", 2), ("b", 0)]
