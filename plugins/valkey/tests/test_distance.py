"""A server that is far away: connections are opened in the background, and late replies are discarded."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from distant_servers import Distance, distant, mute
from valkey_entries import entry_of, key_of
from valkey_servers import Server, valkey

from localagent import SecretRef
from localagent_testing import FakeCore, ManualClock
from localagent_testing.contracts.base import often
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress
from localagent_valkey.breaker import FAILURES

BUDGET = 0.05  # the default
PAUSE = 5.0  # seconds of a clock that a test moves
PASSWORD = "of-tests-only"
TRIES = 300  # lookups after which a cache that never answers is given up


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server with a password."""
    with valkey() as server:
        protect(server)
        yield server


def protect(server: Server) -> None:
    """Have it ask for the password from now on."""
    server.ask("CONFIG", "SET", "requirepass", PASSWORD)


class Cache:
    """The cache under a fake core, whose clock a test moves; the time that connections take is real."""

    def __init__(self, core: FakeCore, clock: ManualClock, plugged: Any) -> None:
        self.core, self.clock, self.plugged = core, clock, plugged
        self.plugin: ValkeyCachePlugin = plugged.plugin

    @property
    def figures(self) -> Any:
        return self.plugin.figures()

    async def look_up(self, number: int) -> Any:
        return await self.plugged.ask("cache_lookup", self.core.call(), (key_of(number),))

    async def store(self, number: int) -> None:
        await self.plugged.ask("cache_store", self.core.call(), entry_of(number))

    async def until_stored(self, number: int) -> None:
        """Store until it is kept."""
        before = self.figures.stored
        for _ in range(TRIES):
            await self.store(number)
            if self.figures.stored > before:
                return
            self.clock.advance(PAUSE)
        pytest.fail("Nothing was ever stored.")

    async def until_hits(self, hits: int, number: int, *, at_once: int = 1) -> int:
        """Look up until there were so many hits; return how many lookups that took."""
        for tries in range(TRIES):
            if self.figures.hits >= hits:
                return tries * at_once
            found = await asyncio.gather(*(self.look_up(number) for _ in range(at_once)))
            assert set(map(type, found)) <= {type(None), type(entry_of(number))}
            if self.figures.is_open:  # a busy machine
                self.clock.advance(PAUSE)
                await self.core.settled()
        pytest.fail(f"{TRIES * at_once} lookups found {self.figures.hits} times what is there: {self.figures}")


@asynccontextmanager
async def opened(
    port: int, monkeypatch: pytest.MonkeyPatch, given: str = PASSWORD, **settings: Any
) -> AsyncIterator[Cache]:
    """Open the cache with a password and a database of its own, which take a round trip each."""
    monkeypatch.setenv("STORE_PASSWORD", given)
    fields = {"password": SecretRef(env="STORE_PASSWORD"), "budget": BUDGET, "pause": PAUSE, **settings}
    filled = ValkeyCacheSettings(ServerAddress("127.0.0.1", port, database=1), **fields)
    clock = ManualClock()
    async with FakeCore(clock=clock) as core, core.plugged(ValkeyCachePlugin, filled) as plugged:
        yield Cache(core, clock, plugged)
        await core.settled()
        assert not plugged.failures


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("round_trip", [0.005, 0.02, 0.03])
async def test_a_round_trip_that_fits_the_budget_is_enough(
    round_trip: float, at_once: int, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though connecting takes three: the first lookups miss, and those that follow are hits, one or many at a time."""
    async with (
        distant(guarded.port, round_trip) as server,
        opened(server.port, monkeypatch, prefix=f"{round_trip}:{at_once}:") as cache,
    ):
        await cache.until_stored(1)
        await cache.until_hits(20, 1, at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 8])
async def test_a_connection_under_way_opens_no_breaker(
    at_once: int, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget of two round trips: lookups that come before the first connection are misses, and no failures."""
    async with (
        distant(guarded.port, 0.15) as server,
        opened(server.port, monkeypatch, budget=0.35, prefix=f"under-way-{at_once}:") as cache,
    ):
        for _ in range(2):
            assert await asyncio.gather(*(cache.look_up(1) for _ in range(at_once))) == [None] * at_once
        assert not cache.figures.is_open
        assert cache.figures.skipped == 0
        await cache.until_stored(1)
        await cache.until_hits(3, 1)
        assert server.connections <= at_once + 1  # none was thrown away while it was opened


@pytest.mark.parametrize("round_trip", [0.06, 0.2])
async def test_a_round_trip_beyond_the_budget_is_a_miss(
    round_trip: float, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No lookup waits for longer than the budget, the breaker opens as documented, and a nearer server is used."""
    loop = asyncio.get_running_loop()
    async with (
        distant(guarded.port, round_trip) as server,
        opened(server.port, monkeypatch, prefix=f"{round_trip}:") as cache,
    ):
        tries = 0
        while not cache.figures.is_open:
            began = loop.time()
            assert await cache.look_up(1) is None
            assert loop.time() - began < 1.0  # opening a connection takes up to five seconds
            tries += 1
        assert FAILURES <= tries < 30
        assert await cache.look_up(1) is None
        assert cache.figures.skipped == 1
        server.one_way = 0.0
        await cache.until_stored(1)
        await cache.until_hits(5, 1)


@pytest.mark.parametrize("password", [True, False], ids=["with a password", "without one"])
async def test_a_server_that_never_answers_delays_nobody_for_long(
    password: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left alone after a few lookups, of which each took a budget, and nothing is left when the cache closes."""
    loop = asyncio.get_running_loop()
    more: dict[str, Any] = {} if password else {"password": None}
    async with mute() as port, opened(port, monkeypatch, **more) as cache:
        began = loop.time()
        while not cache.figures.is_open:
            assert await cache.look_up(1) is None
        assert loop.time() - began < 4.0  # of which none waited until opening was given up
        assert await cache.look_up(1) is None
        assert cache.figures.skipped == 1


async def test_a_restarted_server_is_used_again(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that ended are replaced in the background, too."""
    protect(own_server)
    async with distant(own_server.port, 0.01) as server, opened(server.port, monkeypatch) as cache:
        for hits in (10, 20):
            await cache.until_stored(1)
            await cache.until_hits(hits, 1)
            own_server.kill()
            for _ in range(10):
                assert await cache.look_up(1) is None
            own_server.restart()
            protect(own_server)


async def test_a_wrong_password_is_said_once(
    guarded: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line that says what is wrong, however many lookups, pauses and probes there are."""
    async with distant(guarded.port, 0.02) as server, opened(server.port, monkeypatch, given="wrong") as cache:
        for _ in range(20):
            await asyncio.gather(*(cache.look_up(1) for _ in range(3)))
            if cache.figures.is_open:
                cache.clock.advance(PAUSE)
                await cache.look_up(1)
                await cache.core.settled()
        assert cache.figures.is_open
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert "refuses the user or the password" in warned[0]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_late_reply_is_never_read_as_another_ones(
    seed: int, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round trips around the budget, many lookups at once, some cancelled: each finds its own answer or none."""
    source = random.Random(seed)
    async with (
        distant(guarded.port, 0.0) as server,
        opened(server.port, monkeypatch, budget=0.1, pool_size=4, prefix=f"late-{seed}:") as cache,
    ):
        for number in range(10):
            await cache.until_stored(number)
        for _ in range(often(12, full=300)):
            server.one_way = source.choice((0.0, 0.02, 0.045, 0.055, 0.15))
            numbers = [source.randrange(10) for _ in range(6)]
            tasks = [asyncio.ensure_future(cache.look_up(number)) for number in numbers]
            await asyncio.sleep(source.choice((0.0, 0.02, 0.05)))
            tasks[0].cancel()
            for number, entry in zip(numbers, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
                assert isinstance(entry, asyncio.CancelledError) or entry in (None, entry_of(number))
            cache.clock.advance(PAUSE)
        server.one_way = 0.0
        for number in range(10):
            await cache.until_hits(cache.figures.hits + 1, number)


async def test_a_late_reply_costs_no_connection(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers who leave, and calls whose time is up, do not make those who follow connect again."""
    async with (
        distant(guarded.port, 0.0) as server,
        opened(server.port, monkeypatch, budget=0.1, pool_size=2, prefix="costs:") as cache,
    ):
        await cache.until_stored(1)
        before = server.connections
        for _ in range(5):
            server.one_way = 0.15
            leaving = asyncio.ensure_future(cache.look_up(1))
            await asyncio.sleep(0.01)
            leaving.cancel()
            assert await cache.look_up(1) is None
            server.one_way = 0.0
            await cache.until_hits(cache.figures.hits + 1, 1)
        assert server.connections <= max(before, 2)


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
@pytest.mark.parametrize("established", [True, False])
async def test_it_closes_whatever_is_under_way(
    established: bool, turns: int, guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that are being opened and replies that are late, at any turn of the loop; nothing is left."""
    async with distant(guarded.port, 0.0) as server:
        async with opened(server.port, monkeypatch) as cache:
            if established:
                await cache.until_stored(1)
            server.one_way = 0.5
            leaving = [asyncio.ensure_future(cache.look_up(number)) for number in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in leaving:
                task.cancel()
            await asyncio.wait(leaving)
        assert not [task for task in asyncio.all_tasks() if "cache-valkey" in task.get_name()]


async def test_connections_are_no_more_than_the_pool_has(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while they are opened, by callers who leave and others who come."""
    async with distant(guarded.port, 0.1) as server, opened(server.port, monkeypatch, pool_size=3) as cache:
        for _ in range(5):
            await asyncio.gather(*(cache.look_up(1) for _ in range(10)))
        assert 1 <= server.connections <= 3
        assert isinstance(server, Distance)
