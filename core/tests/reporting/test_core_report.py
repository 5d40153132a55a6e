"""What the core reports of itself, and what plugins report through it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from localagent import Call, Client, Instrument, LocalAgentError, Metric, Plugin, Refused, Sample, hookimpl
from localagent.errors import Overloaded, RateLimited
from localagent.records import PoolStats
from localagent.reporting import CORE_INSTRUMENTS, PROCESS_INSTRUMENTS
from localagent_testing import Reply, fake_provider_plugin

INSTRUMENTS = (*CORE_INSTRUMENTS, *PROCESS_INSTRUMENTS)
SEEN = Instrument("test.calls", "counter", "Calls.", labels=("operation",))


class Counting(Plugin):
    """Counts calls."""

    name = "metrics-counting"
    instruments = (SEEN,)
    calls = 0

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.calls += 1

    @hookimpl
    def collect_stats(self) -> Sequence[Sample]:
        return [SEEN.sample(self.calls, "chat")]


class Recording(Plugin):
    """Keeps metrics."""

    name = "metrics-recording"

    def __init__(self, settings: Any = None) -> None:
        super().__init__(settings)
        self.metrics: list[Metric] = []

    @hookimpl
    def record_metric(self, metric: Metric) -> None:
        self.metrics.append(metric)


def client(*plugins: Any, said: Any = None, **settings: Any) -> Client:
    return Client({"default_model": "fake/m", **settings}, plugins=[fake_provider_plugin(said or Reply()), *plugins])


async def test_plugins_report_through_the_core() -> None:
    """Their samples stand beside those of the core."""
    async with client(Counting) as opened:
        await opened.chat("Hello.")
        stats = await opened.stats()
    assert stats.value("test.calls", operation="chat") == 1
    assert stats.value("instance.attempts", provider="fake") == 1


async def test_the_core_counts_what_runs() -> None:
    """Calls, streams, attempts in flight, background work, health; all are zero again at the end."""
    going, release = asyncio.Event(), asyncio.Event()

    class Held(Plugin):
        name = "request-held"

        @hookimpl
        async def rate_check(self) -> None:
            going.set()
            await release.wait()

    async with client(Held) as opened:
        task = asyncio.create_task(opened.chat("Hello."))
        await going.wait()
        during = await opened.stats()
        release.set()
        await task
        after = await opened.stats()
    assert (during.value("calls.active"), during.value("instance.in_flight")) == (1, 1)
    assert (after.value("calls.active"), after.value("instance.in_flight")) == (0, 0)
    assert after.value("instance.health", state="healthy") == 1
    assert after.value("transports.open") == 1
    assert after.value("process.memory") > 10_000_000
    assert after.value("process.tasks") >= 1


async def test_failures_of_plugins_are_counted() -> None:
    """By plugin and hook; a plugin that fails to report does not hide the others."""

    class Broken(Plugin):
        name = "metrics-broken"

        @hookimpl
        def collect_stats(self) -> Sequence[Sample]:
            raise RuntimeError

    class Untidy(Plugin):
        name = "metrics-untidy"

        @hookimpl
        def collect_stats(self) -> Sequence[Any]:
            return ["nonsense", SEEN.sample(3), SEEN.sample(3, "embed")]

    async with client(Broken, Untidy, Counting) as opened:
        first, second = await opened.stats(), await opened.stats()
    assert first.value("test.calls") == 3
    assert second.value("plugin.failures", plugin="metrics-broken", hook="collect_stats") == 1
    assert second.value("plugin.failures", plugin="metrics-untidy", hook="collect_stats") == 2


async def test_a_refusal_carries_its_target() -> None:
    """A gate's refusal is counted for the model that it kept back."""

    class Closed(Plugin):
        name = "rate-closed"

        @hookimpl
        def rate_check(self) -> Refused:
            return Refused(RateLimited("Too many."))

    async with client(Closed, Recording, sharing={"flights": True}) as opened:
        for temperature in (0, 1):  # shared with identical calls, and alone
            with pytest.raises(RateLimited):
                await opened.chat("Hello.", temperature=temperature)
        metrics = (await opened.runtime()).pipeline.plugins["metrics-recording"].metrics  # type: ignore[attr-defined]
    assert [(one.status, one.model, one.instance) for one in metrics] == [("refused", "fake/m", "one")] * 2


@pytest.mark.virtual
async def test_waiting_before_the_first_attempt_is_queue_time() -> None:
    """Steps and gates before the request was sent count; the exchange and later attempts do not."""

    class Slow(Plugin):
        name = "rate-slow"

        @hookimpl
        async def pre_request(self, call: Call) -> None:
            await asyncio.sleep(1.0)

        @hookimpl
        async def rate_check(self) -> None:
            await asyncio.sleep(0.5)

    async with client(Slow, Recording, said=[Reply(after=3.0)]) as opened:
        await opened.chat("Hello.")
        (metric,) = (await opened.runtime()).pipeline.plugins["metrics-recording"].metrics  # type: ignore[attr-defined]
    assert (metric.queued, metric.seconds) == (pytest.approx(1.5), pytest.approx(4.5))


async def test_cached_and_shared_answers_have_no_tokens_of_their_own() -> None:
    """``tokens`` are those that a model has read and written for this operation."""
    async with client(Recording) as opened:
        await opened.chat("Hello.")
        with pytest.raises(LocalAgentError):
            await opened.chat("Hello.", model="nowhere/m")
        first, failed = (await opened.runtime()).pipeline.plugins["metrics-recording"].metrics  # type: ignore[attr-defined]
    assert (first.tokens, failed.tokens) == (5, 0)


async def test_pools_are_reported_for_each_instance() -> None:
    """Active, idle and waiting; utilisation; what was opened and reused (S72)."""

    class Pool:
        def stats(self) -> PoolStats:
            return PoolStats(active=3, idle=2, waiting=7, limit=4, opened=9, reused=5, failed=1, waited=1.5)

    async with client() as opened:
        await opened.chat("Hello.")
        runtime = await opened.runtime()
        (instance,) = runtime.instances
        runtime.instances.state(instance).transport = Pool()
        stats = await opened.stats()
    found = {name: stats.value(name, provider="fake") for name in (
        "pool.waiting", "pool.limit", "pool.utilisation", "pool.opened", "pool.reused", "pool.failures", "pool.wait",
    )}  # fmt: skip
    assert found == {
        "pool.waiting": 7, "pool.limit": 4, "pool.utilisation": 0.75, "pool.opened": 9, "pool.reused": 5,
        "pool.failures": 1, "pool.wait": 1.5,
    }  # fmt: skip
    assert (stats.value("pool.connections", state="active"), stats.value("pool.connections", state="idle")) == (3, 2)


async def test_every_sample_is_of_a_known_instrument() -> None:
    """The reference lists them."""
    async with client(said=Overloaded("busy")) as opened:
        with pytest.raises(LocalAgentError):
            await opened.chat("Hello.")
        assert {sample.instrument for sample in await opened.stats()} <= set(INSTRUMENTS)


def test_names_follow_one_convention() -> None:
    """Lower case, words joined by dots and underscores; one sentence each; no name twice."""
    assert [one.name for one in INSTRUMENTS if not re.fullmatch(r"[a-z]+(?:[._][a-z]+)*", one.name)] == []
    assert [one.name for one in INSTRUMENTS if not one.description.endswith(".")] == []
    assert len({one.name for one in INSTRUMENTS}) == len(INSTRUMENTS)
