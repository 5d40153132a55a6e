"""Whatever befalls the server, callers see misses: stopped, killed, restarted, loading, read-only, full, locked."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from valkey_entries import entry_of, key_of
from valkey_servers import Server, folder_prefix, valkey

from localagent import Attempt, Client, LocalAgentError, SecretRef
from localagent_testing import CANARY_KEY, FakeCore, ManualClock, Reply, fake_provider_plugin
from localagent_testing.leaks import belongings
from localagent_valkey import ValkeyCachePlugin, ValkeyCacheSettings
from localagent_valkey.address import ServerAddress
from localagent_valkey.breaker import FAILURES

SHORT, PATIENT = 0.05, 30.0  # seconds of budget: with the first time runs out, with the second it does not
PAUSE = 5.0  # seconds of a clock that stands still
READ_ONLY = {"REPLICAOF": ("127.0.0.1", "1"), "CONFIG SET min-replicas-to-write": ("1",)}


class Probed:
    """The cache under a fake core, whose clock a test moves."""

    def __init__(self, core: FakeCore, clock: ManualClock, cache: Any) -> None:
        self.core, self.clock, self.cache = core, clock, cache
        self.plugin: ValkeyCachePlugin = cache.plugin

    async def finds(self, number: int) -> bool:
        return await self.cache.ask("cache_lookup", self.core.call(), (key_of(number),)) == entry_of(number)

    async def store(self, number: int, body: bytes = b"x" * 10) -> None:
        await self.cache.ask("cache_store", self.core.call(), entry_of(number, body=body))

    async def pass_pauses(self, until: Callable[[], bool]) -> None:
        """Let a pause go by and ask, again and again: a busy machine may need a second probe."""
        while not until():
            self.clock.advance(PAUSE)
            await self.finds(0)
            await self.core.settled()


@asynccontextmanager
async def opened(server: Server, **settings: Any) -> AsyncIterator[Probed]:
    fields = {"budget": PATIENT, "pause": PAUSE, **settings}
    filled = ValkeyCacheSettings(ServerAddress("127.0.0.1", server.port), **fields)
    clock = ManualClock()
    async with FakeCore(clock=clock) as core, core.plugged(ValkeyCachePlugin, filled) as cache:
        yield Probed(core, clock, cache)
        await core.settled()
        assert not cache.failures


# The rule -------------------------------------------------------------------------------------------------------------


async def test_a_server_that_answers_nobody_is_asked_three_times(own_server: Server) -> None:
    """Then it is spared until a probe, which nobody waits for, is answered in time."""
    async with opened(own_server, budget=SHORT) as probed:
        figures = probed.plugin.figures
        own_server.stop()
        assert not any([await probed.finds(1) for _ in range(10)])
        assert (figures().failed, figures().skipped, figures().is_open) == (FAILURES, 10 - FAILURES, True)
        for pauses in (1, 2, 3):
            probed.clock.advance(PAUSE)
            assert [await probed.finds(1) for _ in range(4)] == [False] * 4
            assert figures().failed == FAILURES + pauses - 1  # all of them went on while the probe was on its way
            await probed.core.settled()
            assert figures().failed == FAILURES + pauses
        own_server.go_on()
        await probed.pass_pauses(lambda: not figures().is_open)
    assert probed.core.spawned.count("cache-valkey probe") >= 4


async def test_what_waits_in_our_own_queue_is_not_held_against_the_server(own_server: Server) -> None:
    """Too many lookups at once are misses, and open nothing: the server was not even asked."""
    async with opened(own_server, budget=SHORT, pool_size=1) as probed:
        connections = probed.plugin._connections
        assert connections is not None
        async with connections._slots:
            assert await asyncio.gather(*(probed.finds(1) for _ in range(10))) == [False] * 10
        assert (probed.plugin.figures().failed, probed.plugin.figures().is_open) == (10, False)


async def test_a_server_that_is_gone_is_a_miss_and_is_used_when_it_is_back(own_server: Server) -> None:
    """Killed, it is empty when it comes back; its old connections are replaced without a failure."""
    async with opened(own_server) as probed:
        await probed.store(1)
        assert await probed.finds(1)
        own_server.kill()
        assert not any([await probed.finds(1) for _ in range(10)])
        await probed.store(1)
        own_server.restart()
        await probed.pass_pauses(lambda: not probed.plugin.figures().is_open)
        assert not await probed.finds(1)
        await probed.store(1)
        assert await probed.finds(1)


async def test_a_quick_restart_is_not_noticed(own_server: Server) -> None:
    """Connections that ended while they were idle are not failures."""
    async with opened(own_server) as probed:
        await probed.store(1)
        own_server.kill()
        own_server.restart()
        for _ in range(3):  # in which the loop hears of the end
            await asyncio.sleep(0)
        assert not await probed.finds(1)
        await probed.store(1)
        assert await probed.finds(1)
        assert probed.plugin.figures().failed == 0


@pytest.mark.parametrize("way", READ_ONLY)
async def test_a_server_that_is_read_only_goes_on_answering(way: str, own_server: Server) -> None:
    """Three stores fail, the others are not tried; every lookup is a hit. Afterwards it is written to again."""
    async with opened(own_server) as probed:
        await probed.store(1)
        own_server.ask(*way.split(), *READ_ONLY[way])
        for number in range(2, 12):
            await probed.store(number)
            assert await probed.finds(1)
        figures = probed.plugin.figures()
        assert (figures.failed, figures.skipped, figures.hits, figures.is_open) == (3, 7, 10, False)
        own_server.ask("REPLICAOF", "NO", "ONE")
        own_server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        probed.clock.advance(PAUSE)
        await probed.store(2)
        assert await probed.finds(2)


async def test_a_full_server_is_a_miss(own_server: Server) -> None:
    """Without a policy that evicts, stores are refused: they fail, and nobody notices."""
    async with opened(own_server) as probed:
        own_server.ask("CONFIG", "SET", "maxmemory", "1")
        for number in range(5):
            await probed.store(number)
            assert not await probed.finds(number)
        assert (probed.plugin.figures().stored, probed.plugin.figures().is_open) == (0, False)


async def test_a_server_that_loads_is_a_miss() -> None:
    """It reports this at once, to three lookups; when it has loaded, its entries are found."""
    config = {"enable-debug-command": "yes", "loading-process-events-interval-bytes": "1024"}
    with valkey(**config) as server:
        async with opened(server) as probed:
            for number in range(60):
                await probed.store(number, random.Random(number).randbytes(600))
            server.ask("CONFIG", "SET", "key-load-delay", "20000")  # microseconds a key
            loading = asyncio.create_task(asyncio.to_thread(server.ask, "DEBUG", "RELOAD"))
            while not probed.plugin.figures().is_open:
                assert not await probed.finds(70)
            assert probed.plugin.figures().failed == FAILURES
            assert await loading == b"+OK"
            await probed.pass_pauses(lambda: not probed.plugin.figures().is_open)
            assert probed.plugin.figures().hits == 0
            entry = await probed.cache.ask("cache_lookup", probed.core.call(), (key_of(5),))
            assert entry.response == entry_of(5, body=random.Random(5).randbytes(600)).response


@pytest.mark.parametrize("given", ["", CANARY_KEY], ids=["none", "a wrong one"])
async def test_a_wrong_password_is_a_miss_and_is_not_logged(
    given: str, own_server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the server and the kind of trouble; a fixture looks for the password in it."""
    own_server.ask("CONFIG", "SET", "requirepass", "right")
    monkeypatch.setenv("STORE_PASSWORD", given)
    password = SecretRef(env="STORE_PASSWORD") if given else None
    async with opened(own_server, password=password) as probed:
        for number in range(5):
            await probed.store(number)
            assert not await probed.finds(number)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 2  # lookups and stores
    assert all(f"127.0.0.1:{own_server.port}" in line for line in warned)


@pytest.mark.parametrize("user", ["", "cache"])
async def test_a_right_password_opens(user: str, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a name on servers that have users, which need no more than four commands, and without."""
    own_server.ask("ACL", "SETUSER", "cache", "on", f">{CANARY_KEY}", "~localagent:*", "+mget", "+set", "+del")
    own_server.ask("CONFIG", "SET", "requirepass", CANARY_KEY)
    monkeypatch.setenv("STORE_PASSWORD", CANARY_KEY)
    async with opened(own_server, user=user, password=SecretRef(env="STORE_PASSWORD")) as probed:
        await probed.store(1)
        assert await probed.finds(1)
        assert probed.plugin.figures().failed == 0


async def test_a_stopped_server_keeps_no_sockets_of_ours(own_server: Server) -> None:
    """Half-sent answers are dropped with their connections; they would wait as long as it sleeps."""
    async with opened(own_server, budget=1.0, max_value=1 << 26) as probed:
        before = sum(belongings().descriptors.values())
        await probed.store(0)
        assert sum(belongings().descriptors.values()) == before + 1
        own_server.stop()
        await probed.store(1, random.Random(1).randbytes(16_000_000))
        await asyncio.sleep(0)
        assert sum(belongings().descriptors.values()) == before
        own_server.go_on()
        assert (probed.plugin.figures().stored, probed.plugin.figures().failed) == (1, 1)


async def test_it_closes_while_the_server_is_stopped(own_server: Server) -> None:
    """A probe that is on its way ends by itself; nothing is left."""
    async with opened(own_server, budget=SHORT) as probed:
        await probed.store(1)
        own_server.stop()
        for _ in range(FAILURES):
            await probed.finds(1)
        probed.clock.advance(PAUSE)
        await probed.finds(1)
    own_server.go_on()


# Under load -----------------------------------------------------------------------------------------------------------


class Load:
    """Askers that never rest, and what came back to them."""

    PROMPTS = tuple(f"prompt {number}" for number in range(50))

    def __init__(self, client: Client) -> None:
        self.answered = 0
        self.errors: Counter[str] = Counter()
        self._client = client
        self._numbers = itertools.count()

    async def ask(self) -> None:
        while True:
            prompt = self.PROMPTS[next(self._numbers) % len(self.PROMPTS)]
            try:
                response = await self._client.chat(prompt, temperature=0)
            except LocalAgentError as error:
                self.errors[type(error).__name__] += 1
            else:
                self.errors["wrong answer"] += response.text != f"answer to {prompt}"
            self.answered += 1
            await asyncio.sleep(0)

    async def go_on(self, calls: int) -> None:
        """Wait until so many further calls have come back."""
        until = self.answered + calls
        while self.answered < until:  # noqa: ASYNC110 - the askers have a turn
            await asyncio.sleep(0)


@pytest.fixture
def slow_loader() -> Iterator[Server]:
    with valkey(**{"enable-debug-command": "yes", "loading-process-events-interval-bytes": "1024"}) as server:
        yield server


def answer(attempt: Attempt) -> Reply:
    return Reply(f"answer to {attempt.request.document['messages'][-1]['content']}")


async def test_no_trouble_of_the_server_reaches_a_client(slow_loader: Server, tmp_path: Path) -> None:
    """Under load it is stopped, killed, restarted, made read-only and loading: no error, no wrong answer, then hits."""
    server = slow_loader
    table = {"url": server.url, "prefix": folder_prefix(tmp_path), "pause": "10 ms", "pool_size": 8}
    settings = {"state_folder": str(tmp_path), "plugins": {"cache-valkey": table}}
    plugins = [fake_provider_plugin(answer), ValkeyCachePlugin]
    async with Client(settings, plugins=plugins, environment={}) as client:
        load = Load(client)
        plugin: Any = (await client.runtime()).pipeline.plugins["cache-valkey"]

        async def hits_again() -> None:
            before = plugin.figures().hits
            while plugin.figures().hits < before + 50:  # noqa: ASYNC110 - the askers have a turn
                await asyncio.sleep(0)

        askers = [asyncio.create_task(load.ask()) for _ in range(16)]
        await hits_again()
        for begin, end in (
            ((server.stop,), (server.go_on,)),
            ((server.kill,), (server.restart,)),
            ((server.stop, server.kill), (server.restart,)),
            ((lambda: server.ask("REPLICAOF", "127.0.0.1", "1"),), (lambda: server.ask("REPLICAOF", "NO", "ONE"),)),
            ((lambda: server.ask("CLIENT", "KILL", "TYPE", "normal"),), ()),
        ):
            for step in begin:
                step()
            await load.go_on(1000)
            for step in end:
                step()
            await hits_again()
        server.ask("CONFIG", "SET", "key-load-delay", "20000")
        loading = asyncio.create_task(asyncio.to_thread(server.ask, "DEBUG", "RELOAD"))
        await load.go_on(1000)
        await loading
        await hits_again()
        for asker in askers:
            asker.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
    assert load.answered >= 6000
    assert +load.errors == Counter()
