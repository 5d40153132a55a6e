"""``SqliteCachePlugin``: its name, settings, place in the order, figures, and what may be looked into."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from sqlite_entries import NOW, entry_of, files, key_of, opened

from localagent import CacheEntry, ChatResponse, Client, Usage
from localagent.errors import SettingsError, StartError
from localagent.records import CacheContents, CacheCounts, EntryFilter
from localagent_cache_sqlite import SqliteCachePlugin, SqliteCacheSettings
from localagent_cache_sqlite.entry_rows import decoded, encoded
from localagent_testing import fake_provider_plugin


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under the name that it has in tests, too."""
    (entry,) = entry_points(group="localagent", name="cache-sqlite")
    assert entry.load() is SqliteCachePlugin
    assert SqliteCachePlugin.name == "cache-sqlite"


async def test_settings_are_read_with_their_units(tmp_path: Path) -> None:
    """Sizes and times are written as people write them; the folder may be anywhere."""
    table = {"folder": str(tmp_path), "max_size": "1 MiB", "max_entries": 2, "ttl": "5 min", "timeout": "20 ms"}
    async with Client({"plugins": {"cache-sqlite": table}}, plugins=[SqliteCachePlugin], environment={}) as client:
        plugin = (await client.runtime()).pipeline.plugins["cache-sqlite"]
        assert plugin.settings == SqliteCacheSettings(tmp_path, 2**20, 2, 2**20, 300.0, 0.02)
    assert files(tmp_path).keys() == {"answers-2.db"}


@pytest.mark.parametrize("table", [{"max_size": "much"}, {"max_entries": 0}, {"ttl": 0}, {"path": "here"}])
async def test_wrong_settings_are_refused(table: dict[str, object]) -> None:
    """At start, with the table's name."""
    client = Client({"plugins": {"cache-sqlite": table}}, plugins=[SqliteCachePlugin], environment={})
    with pytest.raises(SettingsError, match="cache-sqlite"):
        async with client:
            pass


async def test_an_answer_that_is_too_large_is_not_kept_and_the_older_one_goes(tmp_path: Path) -> None:
    """What was under its key is outdated: at once, and in the file."""
    async with opened(tmp_path, max_answer=2000) as cache:
        cache.keep(entry_of(1), entry_of(2))
        await cache.flushed()
        cache.keep(entry_of(1, length=3000))
        assert cache.numbers([1, 2]) == [2]
        await cache.flushed()
        assert cache.numbers([1, 2]) == [2]
        (counts,) = (await cache.plugin.cache_stats()).counts
        assert (counts.too_large, counts.stored) == (1, 2)


async def test_its_own_hit_is_not_stored_anew(tmp_path: Path) -> None:
    """The core passes hits to all caches, also a cache's own: that does not extend its lifetime."""
    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1), entry_of(1, source="cache-sqlite"))
        assert (await cache.plugin.cache_stats()).counts[0].stored == 1


async def test_facts_that_cannot_be_written_are_no_error(tmp_path: Path) -> None:
    """Such an answer is not kept."""
    async with opened(tmp_path) as cache:
        cache.keep(CacheEntry(key_of(1), ChatResponse(raw=b"{}", facts={"odd": object()})))
        assert cache.find(key_of(1)) is None


def test_records_hold_all_of_an_answer() -> None:
    """What was read out of the answer comes back equal; events that are the stream's own are written once."""
    events = tuple(b"%d " % number + b"x" * 500 for number in range(10))
    response = ChatResponse(
        raw=b"{ }", model="a/b", instance="one", usage=Usage(1, 2, 3), facts={"load_seconds": 0.5}, text="hey",
        finish_reasons=("stop", None), streamed=events,
    )  # fmt: skip
    entry = CacheEntry(key_of(1), response, events, 12.5)
    record = encoded(entry)
    assert record is not None
    assert decoded(key_of(1), record) == entry
    assert len(record) < 6000


async def test_figures_are_those_of_all_processes_and_restarts(tmp_path: Path) -> None:
    """Hits by entry, model and tenant; misses by the model that would have been asked first."""
    for _ in range(2):
        async with opened(tmp_path) as cache:
            cache.keep(entry_of(1, tenant="a"), entry_of(1, tenant="b"))
            for _ in range(3):
                cache.find(key_of(9, tenant="a"), key_of(1, tenant="a"))
            cache.find(key_of(9, model="fake/other"))
    async with opened(tmp_path) as cache:
        figures = await cache.plugin.cache_stats()
        kept = [entry async for entry in cache.plugin.cache_entries(EntryFilter())]
    assert figures.entries == 2
    assert figures.counts == (
        CacheCounts("fake/m", "a", hits=6, stored=2),
        CacheCounts("fake/m", "b", stored=2),
        CacheCounts("fake/other", "", misses=2),
    )
    assert sorted((entry.tenant, entry.hits) for entry in kept) == [("a", 6), ("b", 0)]
    assert sum(entry.size for entry in kept) == figures.size


async def test_what_is_meant_is_listed_exported_and_purged(tmp_path: Path) -> None:
    """By model, tenant and age, more than a page of each; the rest stays."""
    now = [NOW]
    async with opened(tmp_path, wall_time=lambda: now[0]) as cache:
        cache.keep(*(entry_of(number, tenant="a") for number in range(450)))
        now[0] += 100.0
        cache.keep(*(entry_of(number, tenant="b", model="fake/n") for number in range(10)))
        contents: CacheContents = cache.plugin
        for entry_filter, many in (
            (EntryFilter(), 460),
            (EntryFilter(tenant="a"), 450),
            (EntryFilter(model="fake/n"), 10),
            (EntryFilter(older=50.0), 450),
            (EntryFilter(model="fake/n", older=50.0), 0),
            (EntryFilter(tenant="c"), 0),
        ):
            assert len([entry async for entry in contents.cache_entries(entry_filter)]) == many
            exported = [entry async for entry in contents.cache_export(entry_filter)]
            assert len(exported) == many
            assert all(entry_filter.model in (None, entry.key.model) for entry in exported)
        assert {entry.age async for entry in contents.cache_entries(EntryFilter(tenant="a"))} == {100.0}
        assert await contents.cache_purge(EntryFilter(tenant="a")) == 450
        assert cache.find(key_of(1, tenant="a")) is None
        assert cache.find(key_of(1, tenant="b", model="fake/n")) is not None
        assert await contents.cache_purge(EntryFilter()) == 10
        assert (await contents.cache_stats()).entries == 0


async def test_a_purge_gives_the_room_back(tmp_path: Path) -> None:
    """The file is small again."""
    async with opened(tmp_path) as cache:
        cache.keep(*(entry_of(number, length=10_000) for number in range(200)))
        await cache.plugin.cache_purge(EntryFilter())
        assert sum(file.stat().st_size for file in files(tmp_path).values()) < 300_000


async def test_two_loops_of_one_process_may_have_it(tmp_path: Path) -> None:
    """A second client in another thread's loop shares the file."""

    async def ask_in_its_own_loop() -> bool:
        async with opened(tmp_path) as cache:
            return cache.find(key_of(1)) is not None

    async with opened(tmp_path) as cache:
        cache.keep(entry_of(1))
        await cache.flushed()
        assert await asyncio.to_thread(lambda: asyncio.run(ask_in_its_own_loop()))


async def test_without_a_state_folder_nothing_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Requests are answered and not cached; commands that read the cache report why it is empty."""
    (tmp_path / "file").touch()
    fake = fake_provider_plugin()
    settings = {"state_folder": tmp_path / "file" / "below", "health": {"enabled": False}}
    async with Client(settings, plugins=[fake, SqliteCachePlugin], environment={}) as client:
        for _ in range(2):
            assert not (await client.chat("Hello.", temperature=0)).cached
        cache = (await client.runtime()).pipeline.plugins["cache-sqlite"]
        assert isinstance(cache, SqliteCachePlugin)
        await cache.flushed()
        with pytest.raises(StartError, match="keeps no answers"):
            await cache.cache_stats()
        with pytest.raises(StartError, match="keeps no answers"):
            await cache.cache_purge(EntryFilter())
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "cache-sqlite: answers" in warnings[0]
