"""The summary: the fields that the roadmap names, and what each of them counts."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from typing import Any

import msgspec
import pytest

from localagent import Client, LocalAgentError, Metric, Stats, Usage
from localagent.errors import SettingsError
from localagent_metrics_summary import OperationRecord, Summary, SummaryPlugin, SummarySettings, summaries
from localagent_testing import FakeCore, Reply, fake_provider_plugin
from localagent_testing.fake_core import Plugged

CHAT = Metric("chat", "ok", "one/m", "one#1", 2.0, None, 1, Usage(10, 5, 15), "", False, "", "la-1", "", "team")


def like(**fields: Any) -> Metric:
    return msgspec.structs.replace(CHAT, **fields)


async def recorded(core: FakeCore, plugged: Plugged[SummaryPlugin], *metrics: Metric) -> Summary:
    """Return the summary after some operations."""
    for metric in metrics:
        await plugged.ask("record_metric", core.call(), metric)
    return plugged.plugin.summary()


def test_it_is_found_by_its_name() -> None:
    """The installed distribution brings the plugin under the name that it has in tests, too."""
    (entry,) = entry_points(group="localagent", name="metrics-summary")
    assert entry.load() is SummaryPlugin
    assert SummaryPlugin.name == "metrics-summary"


async def test_without_operations_nothing_is_known() -> None:
    """What cannot be divided is None, and not 0."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        summary = plugged.plugin.summary()
        assert plugged.plugin.summaries("model") == {}
    assert (summary.total_operations, summary.successful_operations, summary.total_tokens_processed) == (0, 0, 0)
    assert (summary.error_rate, summary.average_latency, summary.cache_hit_rate, summary.latency) == (None,) * 4


@pytest.mark.virtual
async def test_the_fields_of_the_roadmap() -> None:
    """Totals, error rate, average latency, cache hit rate, tokens, and operations per second."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        summary = await recorded(
            core, plugged,
            like(seconds=1.0), like(seconds=3.0), like(cached="cache-memory", seconds=0.001, attempts=0),
            like(status="failed", code="upstream_timeout", usage=None, attempts=2),
            like(status="refused", code="rate_limited", usage=None, attempts=0),
            like(status="cancelled", usage=None), like(coalesced=True, attempts=0, seconds=2.0),
        )  # fmt: skip
    assert (summary.total_operations, summary.successful_operations) == (7, 4)
    assert summary.error_rate == pytest.approx(2 / 6)  # a cancelled one is not an error
    assert summary.average_latency == pytest.approx(2.0)  # answers of caches and flights do not flatter it
    assert summary.cache_hit_rate == pytest.approx(1 / 4)
    assert summary.total_tokens_processed == 30
    assert summary.operations_per_second == pytest.approx(7.0)
    assert summary.statuses == {"ok": 4, "failed": 1, "refused": 1, "cancelled": 1}
    assert summary.errors == {"upstream_timeout": 1, "rate_limited": 1}
    assert summary.sources == {"model": 2, "cache-memory": 1, "flight": 1}
    assert summary.retries == 1
    assert summary.cached_latency is not None
    assert summary.cached_latency.count == 2


async def test_streams_have_times_of_their_tokens() -> None:
    """The first content, and the mean time between the tokens after it."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        summary = await recorded(
            core, plugged, like(first=0.5, seconds=2.5, usage=Usage(10, 5, 15), queued=0.1),
            like(first=0.5, seconds=2.5, usage=None, queued=0.1), like(first=0.5, seconds=2.5, usage=Usage(1, 1, 2)),
        )  # fmt: skip
    assert summary.first_token is not None
    assert summary.between_tokens is not None
    assert summary.queue is not None
    assert (summary.first_token.count, summary.between_tokens.count, summary.queue.count) == (3, 1, 3)
    assert summary.first_token.p50 == pytest.approx(0.5, rel=0.01)
    assert summary.between_tokens.p50 == pytest.approx(0.5, rel=0.01)
    assert summary.queue.max == 0.1


@pytest.mark.parametrize(("by", "lines"), [
    ("operation", {"chat": 3, "embed": 1}), ("provider", {"one": 3, "two": 1}),
    ("model", {"one/m": 2, "one/n": 1, "two/m": 1}),
    ("instance", {"one#1": 3, "two#1": 1}), ("tenant", {"team": 3, "other": 1}),
])  # fmt: skip
async def test_operations_are_grouped(by: str, lines: dict[str, int]) -> None:
    """By operation, provider, model, instance or tenant; every grouping has them all."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        two = like(model="two/m", instance="two#1")
        await recorded(core, plugged, CHAT, like(operation="embed"), like(model="one/n", tenant="other"), two)
        grouped = plugged.plugin.summaries(by)
    assert {name: summary.total_operations for name, summary in grouped.items()} == lines


async def test_parts_of_tokens_are_not_counted_twice() -> None:
    """Cached, reasoning and audio tokens are parts of what was read and written."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        usage = Usage(100, 50, 150, cached_tokens=60, reasoning_tokens=20, cache_write_tokens=5, audio_tokens=3)
        summary = await recorded(core, plugged, like(usage=usage), like(usage=Usage(total_tokens=7)))
    assert summary.total_tokens_processed == 157
    assert summary.tokens == {
        "prompt": 100, "completion": 50, "cached": 60, "reasoning": 20, "cache_write": 5, "audio": 3, "unknown": 7,
    }  # fmt: skip


async def test_processes_add_up() -> None:
    """The summary of merged samples is that of one process that has done all the work."""
    one = Stats()
    async with FakeCore() as core:
        for number in range(4):
            async with core.plugged(SummaryPlugin) as plugged:
                await recorded(core, plugged, like(seconds=1.0 + number), like(status="failed", code="x", usage=None))
                one.merge(await plugged.stats())
        async with core.plugged(SummaryPlugin) as plugged:
            for number in range(4):
                await recorded(core, plugged, like(seconds=1.0 + number), like(status="failed", code="x", usage=None))
            whole = plugged.plugin.summary()
    merged = summaries(Stats.from_builtins(msgspec.json.decode(msgspec.json.encode(one.to_builtins()))))[""]
    without_rates = {"operations_per_second": None}
    assert msgspec.structs.replace(merged, **without_rates) == msgspec.structs.replace(whole, **without_rates)


@pytest.mark.virtual
async def test_rates_are_those_of_the_last_seconds() -> None:
    """An idle minute brings them to zero; a burst is spread over the window."""
    settings = SummarySettings(window=10.0)
    async with FakeCore() as core, core.plugged(SummaryPlugin, settings) as plugged:
        await recorded(core, plugged, *[CHAT] * 50)
        await asyncio.sleep(9)
        assert (plugged.plugin.summary().operations_per_second, tokens_rate(await plugged.stats())) == (5.0, 75.0)
        await asyncio.sleep(1)
        assert plugged.plugin.summary().operations_per_second == 0.0
        await recorded(core, plugged, CHAT)
        assert plugged.plugin.summary().operations_per_second == pytest.approx(0.1)


def tokens_rate(stats: Stats) -> Any:
    return stats.value("tokens.rate")


@pytest.mark.virtual
async def test_records_of_the_latest_operations() -> None:
    """Provider, operation, times, tokens, cache hit, error and memory; only the latest are kept."""
    async with FakeCore() as core, core.plugged(SummaryPlugin, SummarySettings(recent=2)) as plugged:
        await recorded(core, plugged, CHAT, like(cached="cache-memory"), like(status="failed", code="x", usage=None))
        now = core.wall_time()
        hit, failed = plugged.plugin.recent
    assert failed == OperationRecord(
        "one", "chat", pytest.approx(now - 2.0), pytest.approx(now), 2.0, 0, False, "x", failed.memory_usage
    )
    assert (hit.cache_hit, hit.tokens_processed, hit.error) == (True, 0, None)
    assert failed.memory_usage > 10_000_000


@pytest.mark.virtual
async def test_operations_outside_the_pipeline() -> None:
    """They are counted like all others; an exception is their error, and goes on."""
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        with plugged.plugin.start_operation("search", "index") as record:
            record.tokens_processed = 1200
            await asyncio.sleep(2)
        with pytest.raises(ZeroDivisionError), plugged.plugin.start_operation("search", "index"):
            raise ZeroDivisionError
        with plugged.plugin.start_operation("search", "query") as hit:
            hit.cache_hit = True
        summary, by = plugged.plugin.summary(), plugged.plugin.summaries("operation")
    assert (record.duration, record.end_time) == (2.0, pytest.approx(record.start_time + 2.0))
    assert (summary.total_operations, summary.successful_operations, summary.total_tokens_processed) == (3, 2, 1200)
    assert (summary.average_latency, summary.cache_hit_rate) == (pytest.approx(2.0), 0.5)
    assert summary.errors == {"ZeroDivisionError": 1}
    assert {name: line.total_operations for name, line in by.items()} == {"index": 2, "query": 1}


async def test_a_client_is_summed_up() -> None:
    """Through the pipeline: answers, a failure, tokens as the server reports them."""
    said = [Reply(), Reply(error=LocalAgentError("broken", code="broken")), Reply(usage=None)]
    async with Client({"default_model": "fake/m"}, plugins=[fake_provider_plugin(said), SummaryPlugin]) as client:
        await client.chat("Hello.")
        with pytest.raises(LocalAgentError):
            await client.chat("Hello.")
        async with client.stream("Hello.") as stream:
            assert [chunk.text async for chunk in stream]
        summary = summaries(await client.stats())[""]
    assert (summary.total_operations, summary.successful_operations, summary.total_tokens_processed) == (3, 2, 5)
    assert summary.errors == {"broken": 1}


async def test_wrong_settings_are_refused() -> None:
    """At start, with the table's name."""
    client = Client({"plugins": {"metrics-summary": {"models": 0}}}, plugins=[SummaryPlugin], environment={})
    with pytest.raises(SettingsError, match="metrics-summary"):
        async with client:
            pass
