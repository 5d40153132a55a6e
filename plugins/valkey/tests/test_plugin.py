"""``ValkeyCachePlugin`` at a real server: what is found and what is not, and what it costs."""

from __future__ import annotations

import asyncio
import os
import random
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from valkey_caches import PATIENT, Cache, opened, store
from valkey_entries import entry_of, key_of
from valkey_servers import Server, folder_prefix

from localagent import CacheEntry, CacheKey, Client, Plugin, Settings, hookimpl
from localagent_testing import FakeCore, Reply, fake_provider_plugin
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress
from localagent_valkey.values import VERSION


async def look_up(core: FakeCore, cache: Cache, *keys: CacheKey) -> CacheEntry | None:
    entry: CacheEntry | None = await cache.ask("cache_lookup", core.call(), keys)
    return entry


def name_of(folder: Path, key: CacheKey) -> str:
    """Return the name under which a key's value lies there."""
    return f"{folder_prefix(folder)}{VERSION}:{key.digest.hex()}"


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under the name that it has in tests, too."""
    (entry,) = entry_points(group="localagent", name="cache-valkey")
    assert entry.load() is ValkeyCachePlugin
    assert ValkeyCachePlugin.name == "cache-valkey"


async def test_without_an_address_it_does_nothing() -> None:
    """Installed alone it connects to nobody, and says in ``explain`` what it lacks."""
    async with FakeCore() as core, core.plugged(ValkeyCachePlugin) as cache:
        await store(core, cache, entry_of(1))
        assert await look_up(core, cache, key_of(1)) is None
        assert "no url" in "".join(cache.plugin.remarks(Settings()))
    assert not list(ValkeyCachePlugin(ValkeyCacheSettings(ServerAddress("host"))).remarks(Settings()))


# What it costs --------------------------------------------------------------------------------------------------------


async def test_a_hit_is_one_round_trip(shared_server: Server, tmp_path: Path) -> None:
    """Once connected, 50 hits are 50 commands, also for a call that may be answered by three models."""
    async with opened(shared_server, tmp_path) as (core, cache):
        await store(core, cache, entry_of(3))
        assert await look_up(core, cache, key_of(3)) is not None
        before = shared_server.all_calls()
        for _ in range(50):
            assert await look_up(core, cache, key_of(1), key_of(2), key_of(3)) == entry_of(3)
        after = shared_server.all_calls()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name)} == {
        "mget": 50, "info": 1
    }  # fmt: skip


async def test_a_miss_and_its_answer_are_two(shared_server: Server, tmp_path: Path) -> None:
    """One lookup and one store; no caller waits for the store."""
    async with opened(shared_server, tmp_path) as (core, cache):
        await look_up(core, cache, key_of(0))
        before = shared_server.all_calls()
        assert await look_up(core, cache, key_of(1)) is None
        await store(core, cache, entry_of(1))
        after = shared_server.all_calls()
    assert [after[name] - before.get(name, 0) for name in ("mget", "set")] == [1, 1]


async def test_500_lookups_at_once_share_the_pool(shared_server: Server, tmp_path: Path) -> None:
    """All are answered over as many connections as are allowed."""
    async with opened(shared_server, tmp_path, pool_size=8) as (core, cache):
        before = shared_server.received_connections()
        await store(core, cache, entry_of(1))
        hits = await asyncio.gather(*(look_up(core, cache, key_of(1)) for _ in range(500)))
        assert hits == [entry_of(1)] * 500
        assert shared_server.received_connections() - before <= 8 + 1  # the asking of the test itself


# What lies there ------------------------------------------------------------------------------------------------------


async def test_the_server_lets_entries_go(shared_server: Server, tmp_path: Path) -> None:
    """Their time to live is the server's business, in milliseconds."""
    async with opened(shared_server, tmp_path, ttl=90.0) as (core, cache):
        await store(core, cache, entry_of(1))
        left = int(shared_server.ask("PTTL", name_of(tmp_path, key_of(1)))[1:])
        assert 0 < left <= 90_000
        assert shared_server.ask("PEXPIRE", name_of(tmp_path, key_of(1)), 0) == b":1"
        assert await look_up(core, cache, key_of(1)) is None


async def test_large_answers_are_compressed(shared_server: Server, tmp_path: Path) -> None:
    """From the setting on; those that take long to pack in a thread. All come back as they were."""
    bodies = [b"word " * 10, b"word " * 2_000, b"word " * 100_000, random.Random(1).randbytes(500_000)]
    async with opened(shared_server, tmp_path, compress_above=1000) as (core, cache):
        for number, body in enumerate(bodies):
            await store(core, cache, entry_of(number, body=body))
            assert await look_up(core, cache, key_of(number)) == entry_of(number, body=body)
        lengths = [int(shared_server.ask("STRLEN", name_of(tmp_path, key_of(number)))[1:]) for number in range(4)]
    assert [length > len(body) for length, body in zip(lengths, bodies, strict=True)] == [True, False, False, True]


async def test_what_is_too_large_is_not_kept(shared_server: Server, tmp_path: Path) -> None:
    """``max_value`` bounds one answer, before it is compressed; when it was lowered, also one that is there."""
    async with opened(shared_server, tmp_path, max_value=1000) as (core, cache):
        await store(core, cache, entry_of(1, body=b"x" * 1000))
        assert await look_up(core, cache, key_of(1)) is None
        assert cache.plugin.figures().too_large == 1
        await store(core, cache, entry_of(2, body=b"x" * 800))
        assert await look_up(core, cache, key_of(2)) is not None
    async with opened(shared_server, tmp_path, max_value=500) as (core, cache):
        assert await look_up(core, cache, key_of(2)) is None


@pytest.mark.parametrize("cut", [0, 1, 5, 11, 40, -1])
async def test_a_damaged_value_is_a_miss_and_deleted(cut: int, shared_server: Server, tmp_path: Path) -> None:
    """Cut anywhere; the next answer is kept in its place."""
    name = name_of(tmp_path, key_of(1))
    async with opened(shared_server, tmp_path) as (core, cache):
        await store(core, cache, entry_of(1))
        shared_server.ask("SET", name, shared_server.ask("GET", name)[:cut])
        assert await look_up(core, cache, key_of(1)) is None
        await core.settled()
        assert shared_server.ask("EXISTS", name) == b":0"
        await store(core, cache, entry_of(1))
        assert await look_up(core, cache, key_of(1)) == entry_of(1)
        assert cache.plugin.figures().damaged == 1


async def test_a_value_of_another_type_is_a_miss(shared_server: Server, tmp_path: Path) -> None:
    """Somebody's list under our name harms nobody."""
    shared_server.ask("RPUSH", name_of(tmp_path, key_of(1)), "a", "b")
    async with opened(shared_server, tmp_path) as (core, cache):
        assert await look_up(core, cache, key_of(1)) is None
        assert cache.plugin.figures().failed == 0


async def test_a_value_of_a_newer_version_is_a_miss_and_stays(shared_server: Server, tmp_path: Path) -> None:
    """Newer programs that share the server go on reading it."""
    name = name_of(tmp_path, key_of(1))
    async with opened(shared_server, tmp_path) as (core, cache):
        await store(core, cache, entry_of(1))
        value = bytearray(shared_server.ask("GET", name))
        value[2] = VERSION + 1
        shared_server.ask("SET", name, bytes(value))
        assert await look_up(core, cache, key_of(1)) is None
        await core.settled()
        assert shared_server.ask("GET", name) == bytes(value)


async def test_an_entry_under_another_key_is_no_answer(shared_server: Server, tmp_path: Path) -> None:
    """The key is in the value: one that was copied elsewhere, to another tenant's name say, answers nobody there."""
    async with opened(shared_server, tmp_path) as (core, cache):
        await store(core, cache, entry_of(1, tenant="a"))
        names = (name_of(tmp_path, key_of(1, tenant=tenant)) for tenant in "ab")
        assert shared_server.ask("COPY", *names) == b":1"
        assert await look_up(core, cache, key_of(1, tenant="b")) is None
        assert await look_up(core, cache, key_of(1, tenant="a")) is not None


# With others ----------------------------------------------------------------------------------------------------------


async def test_what_another_cache_had_is_not_stored_again(shared_server: Server, tmp_path: Path) -> None:
    """A hit in memory causes no round trip afterwards."""
    async with opened(shared_server, tmp_path) as (core, cache):
        for source in ("cache-memory", "cache-valkey"):
            await store(core, cache, entry_of(1, source=source))
        assert await look_up(core, cache, key_of(1)) is None


async def test_it_is_asked_after_other_caches(shared_server: Server, tmp_path: Path) -> None:
    """What is farthest comes last, whatever the names say."""
    order: list[str] = []

    class Nearer(Plugin):
        name = "cache-z"

        @hookimpl
        def cache_lookup(self, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
            order.append(self.name)
            return None

    model = fake_provider_plugin(Reply("Red."))
    table = {"url": shared_server.url, "prefix": folder_prefix(tmp_path), "budget": PATIENT}
    async with Client(
        {"plugins": {"cache-valkey": table}}, plugins=[model, Nearer, ValkeyCachePlugin], environment={}
    ) as client:
        steps = (await client.runtime()).pipeline.steps["cache_lookup"]
        assert [step.plugin for step in steps] == ["cache-z", "cache-valkey"]
        await client.chat("Name a colour.", temperature=0)
    assert order == ["cache-z"]


async def test_cancelled_lookups_mix_nothing_up(shared_server: Server, tmp_path: Path) -> None:
    """Cancelled at any turn of the loop, a lookup leaves no reply behind that another one would read as its own."""
    async with opened(shared_server, tmp_path, pool_size=1) as (core, cache):
        for number in (1, 2):
            await store(core, cache, entry_of(number))
        for turns in range(30):
            task = asyncio.ensure_future(look_up(core, cache, key_of(1)))
            for _ in range(turns % 15):
                await asyncio.sleep(0)
            task.cancel()
            assert await look_up(core, cache, key_of(2)) == entry_of(2)
            await asyncio.gather(task, return_exceptions=True)
        assert cache.plugin.figures().failed == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
async def test_a_forked_child_has_connections_of_its_own(shared_server: Server, tmp_path: Path) -> None:
    """Parent and child both go on having hits, and neither reads the other's replies."""
    table = {"url": shared_server.url, "prefix": folder_prefix(tmp_path), "budget": PATIENT}
    model = fake_provider_plugin(Reply("Red."))
    plugins = [model, ValkeyCachePlugin]
    settings = {"plugins": {"cache-valkey": table}, "step_timeouts": {"cache_lookup": PATIENT}}
    async with Client(settings, plugins=plugins, environment={}) as client:
        while not (await client.chat("Name a colour.", temperature=0)).cached:  # noqa: ASYNC110 - kept after it
            await asyncio.sleep(0)
        child = os.fork()
        if child == 0:
            os._exit(_hits_in_child(client))
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (await client.chat("Name a colour.", temperature=0)).cached == "cache-valkey"


def _hits_in_child(client: Client) -> int:
    async def ask() -> str:
        cached = (await client.chat("Name a colour.", temperature=0)).cached
        await client.aclose()
        return cached

    try:
        return 0 if asyncio.run(ask()) == "cache-valkey" else 2
    except BaseException:  # whatever happens in the child must end the child
        return 3
