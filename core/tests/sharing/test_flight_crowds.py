"""Crowds: thousands ask the same at the same time, many leave, the server fails; every upstream call is counted."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from localagent import Attempt, CacheEntry, Client, LocalAgentError, Metric, Plugin, hookimpl
from localagent.errors import Overloaded
from localagent_testing import Reply, fake_provider_plugin
from localagent_testing.contracts.base import often

pytestmark = pytest.mark.virtual

SEED = int(os.environ.get("LOCALAGENT_SEED", "20260724"))
SHARED = {"temperature": 0}
LONELY = 20
"""So many come first, one after the other and with little patience: flights that the last waiter leaves."""


class Cache(Plugin):
    """A dictionary."""

    name = "cache-dict"

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[Any, CacheEntry] = {}

    @hookimpl
    async def cache_lookup(self, keys: tuple[Any, ...]) -> CacheEntry | None:
        return self.entries.get(keys[0])

    @hookimpl
    async def cache_store(self, entry: CacheEntry) -> None:
        self.entries[entry.key] = entry


class Observer(Plugin):
    """Writes metrics down."""

    name = "metrics-observer"

    def __init__(self) -> None:
        super().__init__()
        self.metrics: list[Metric] = []

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)


async def whole(client: Client) -> tuple[str, Any]:
    response = await client.chat("Hello.", **SHARED)
    return response.request_id, response.raw


async def streamed(client: Client) -> tuple[str, Any]:
    async with client.stream("Hello.", **SHARED) as stream:
        return stream.request_id, tuple([chunk.data async for chunk in stream])


Ask = Callable[[Client], Awaitable[tuple[str, Any]]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("ask", "crowd"), [(whole, 10_000), (streamed, often(2_000, 10_000))], ids=["whole", "streamed"]
)
async def test_a_crowd_costs_one_answer_beside_failures_and_what_all_left(ask: Ask, crowd: int) -> None:
    """Upstream calls = 1 + failures + flights that their last waiter left; all who stayed got the same."""
    print(f"LOCALAGENT_SEED={SEED}")
    chance = random.Random(SEED)
    began = asyncio.get_running_loop().time()

    def reply(attempt: Attempt) -> Reply:
        """Fail until late, so that the crowd grows; then one answer, the last one asked for."""
        if asyncio.get_running_loop().time() - began < 26.0 or chance.random() < 0.3:
            if ask is streamed and chance.random() < 0.5:
                return Reply(pieces=("He", 0.5, Overloaded("busy")))
            return Reply(error=Overloaded("busy"), after=1.0)
        return Reply("Hello.", pieces=("He", 0.5, "ll", 0.5, "o."), after=0.0 if ask is streamed else 1.0)

    async def user(client: Client, number: int) -> tuple[str, Any] | None:
        """Come at some time, more and more of us; ask until there is an answer, or leave."""
        lonely = number < LONELY
        await asyncio.sleep(chance.uniform(0, 10) if lonely else 10 + 20 * chance.random() ** (1 / 4))
        patience = chance.random() if lonely else chance.choice([chance.random(), 3 * chance.random(), 100.0])
        try:
            async with asyncio.timeout(patience):
                while True:
                    try:
                        return await ask(client)
                    except LocalAgentError:
                        continue
        except TimeoutError:
            return None

    fake = fake_provider_plugin(reply)
    cache = Cache()
    observer = Observer()
    settings = {"health": {"enabled": False}}
    async with Client(settings, plugins=[fake, cache, observer], environment={}) as client:
        reported = await asyncio.gather(*(user(client, number) for number in range(crowd)))
        await asyncio.sleep(10.0)
        runtime = await client.runtime()
        assert runtime.engine.flights is not None
        assert (runtime.engine.flights.open, len(runtime.engine.calls), len(runtime.engine.streams)) == (0, 0, 0)
        assert [runtime.instances.state(instance).in_flight for instance in runtime.instances] == [0]

    survivors = [one for one in reported if one is not None]
    asked = Counter(one.ended for one in fake.asked)
    assert asked["answered"] == 1
    assert len(fake.asked) == 1 + asked["failed"] + asked["cancelled"]
    assert len(survivors) > crowd / 4
    assert len({answer for _, answer in survivors}) == 1
    assert len({name for name, _ in survivors}) == len(survivors)

    # What the waiters' own figures say about it, which know nothing about the server.
    carried = Counter(metric.status for metric in observer.metrics if not metric.coalesced and not metric.cached)
    assert carried == {"ok": 1, "failed": asked["failed"], "cancelled": asked["cancelled"]}
    assert sum(metric.attempts for metric in observer.metrics) == len(fake.asked)
    assert asked["failed"] > 0
    assert asked["cancelled"] > 0
    print(f"{crowd} users, {len(survivors)} stayed; upstream calls: {dict(asked)}")
