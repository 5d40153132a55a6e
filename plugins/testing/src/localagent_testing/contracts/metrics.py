"""The contract of plugins that count operations: nothing is lost or counted twice, and memory stays bounded."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
import pytest

from localagent import Histogram, Metric, Plugin, Stats, Usage
from localagent.settings import structure
from localagent_testing.contracts.base import Contract, often
from localagent_testing.fake_core import FakeCore, Plugged

__all__ = ["MetricsContract"]

Metrics: TypeAlias = Plugged[Plugin]

NAME = re.compile(r"[a-z][a-z0-9]*(?:[._][a-z0-9]+)*")
CHAT = Metric("chat", "ok", "one/m", "one#1", 2.0, None, 1, Usage(10, 5, 15), "", False, "", "la-1", "", "team")
#: Operations of every kind, each with how often it is recorded.
KINDS: Mapping[str, tuple[Metric, int]] = {
    "answered": (CHAT, 5),
    "streamed": (msgspec.structs.replace(CHAT, first=0.5, stream=True), 4),
    "without usage": (msgspec.structs.replace(CHAT, usage=None), 3),
    "partly known usage": (msgspec.structs.replace(CHAT, usage=Usage(completion_tokens=7)), 1),
    "embedded": (msgspec.structs.replace(CHAT, operation="embed", usage=Usage(4, None, 4)), 2),
    "retried": (msgspec.structs.replace(CHAT, attempts=3), 2),
    "cached": (msgspec.structs.replace(CHAT, cached="cache-memory", attempts=0, instance="", seconds=0.001), 6),
    "coalesced": (msgspec.structs.replace(CHAT, coalesced=True, attempts=0), 2),
    "failed": (msgspec.structs.replace(CHAT, status="failed", code="upstream_timeout", usage=None), 3),
    "refused": (msgspec.structs.replace(CHAT, status="refused", code="rate_limited", attempts=0, usage=None), 2),
    "refused at once": (
        Metric("chat", "refused", "", "", 0.0, None, 0, None, "", False, "model_not_found", "la-2", "", ""), 1
    ),
    "cancelled": (msgspec.structs.replace(CHAT, status="cancelled", usage=None), 2),
}  # fmt: skip
STATUSES = {"ok": 25, "failed": 3, "refused": 3, "cancelled": 2}
TOKENS = 5 * 15 + 4 * 15 + 7 + 2 * 4 + 2 * 15
"""Tokens of what models answered; those of cached and coalesced answers are not processed again."""


class MetricsContract(Contract):
    """The promises of every plugin that counts operations; see the hooks ``record_metric`` and ``collect_stats``.

    The author names the plugin, and says how its counts are read if it does not report ``operations`` and ``tokens``
    by ``collect_stats`` as metrics-summary does::

        class TestMine(MetricsContract):
            plugin = MyMetrics

            async def operations(self, metrics, status):
                return metrics.plugin.sent[status]

    Attributes:
        plugin: The plugin.
        most_samples: The most samples that the plugin may report, whatever the names of models and tenants are.
    """

    plugin: ClassVar[type[Plugin]]
    most_samples: ClassVar[int] = 10_000

    def settings(self, folder: Path) -> Mapping[str, Any]:
        """Return the table ``[plugins.NAME]``.

        Args:
            folder: A folder for files.
        """
        return {}

    async def operations(self, metrics: Metrics, status: str) -> int:
        """Return how many operations with a status the plugin has counted.

        Args:
            metrics: The open plugin.
            status: ok, failed, refused or cancelled.
        """
        return (await metrics.stats()).value("operations", status=status) or 0

    async def tokens(self, metrics: Metrics) -> int:
        """Return how many tokens the plugin has counted: those that were read, and those that were written.

        Args:
            metrics: The open plugin.
        """
        stats = await metrics.stats()
        return sum(stats.value("tokens", type=kind) or 0 for kind in ("prompt", "completion", "unknown"))

    @asynccontextmanager
    async def metrics(self, folder: Path) -> AsyncIterator[Metrics]:
        """Open the plugin on a core of its own."""
        table, where = self.settings(folder), f"[plugins.{self.plugin.name}]"
        settings: Any = structure(self.plugin.settings_class, table, where=where)
        async with FakeCore(folder=folder) as core, core.plugged(self.plugin, settings) as metrics:
            self.core = core
            yield metrics

    async def record(self, metrics: Metrics, metric: Metric, times: int = 1) -> None:
        """Record an operation, as the core does at its end."""
        call = self.core.call()
        for _ in range(times):
            await metrics.ask("record_metric", call, metric)

    async def test_every_operation_is_counted_once(self, tmp_path: Path) -> None:
        """By status: answers, cached and shared ones, failures, refusals, cancellations."""
        async with self.metrics(tmp_path) as metrics:
            for metric, times in KINDS.values():
                await self.record(metrics, metric, times)
            assert {status: await self.operations(metrics, status) for status in STATUSES} == STATUSES

    async def test_tokens_are_those_of_models(self, tmp_path: Path) -> None:
        """A cached or shared answer is not counted again, and what was not reported counts as nothing."""
        async with self.metrics(tmp_path) as metrics:
            for metric, times in KINDS.values():
                await self.record(metrics, metric, times)
            assert await self.tokens(metrics) == TOKENS

    @pytest.mark.parametrize("kind", KINDS)
    async def test_no_operation_makes_it_fail(self, kind: str, tmp_path: Path) -> None:
        """Without usage, target or code; the failure of a metrics plugin is isolated, but then nothing is counted."""
        metric = KINDS[kind][0]
        async with self.metrics(tmp_path) as metrics:
            await self.record(metrics, metric)
            assert metrics.failures == {}
            assert await self.operations(metrics, metric.status) == 1

    @pytest.mark.parametrize("name", ["a b", 'say "hi"', "a\\b", "naïve/模型", "", "x" * 300, "a{b=c}"])
    async def test_names_may_be_odd(self, name: str, tmp_path: Path) -> None:
        """Models and tenants may have any characters that the core allows in names."""
        async with self.metrics(tmp_path) as metrics:
            await self.record(metrics, msgspec.structs.replace(CHAT, model=f"one/{name}", tenant=name))
            assert metrics.failures == {}
            assert await self.operations(metrics, "ok") == 1

    async def test_memory_does_not_grow_with_names(self, tmp_path: Path) -> None:
        """However many models and tenants there are, the number of samples stays bounded, and all are counted."""
        source, total = random.Random(3), often(20_000, 1_000_000)
        async with self.metrics(tmp_path) as metrics:
            call = self.core.call()
            for _ in range(total):
                model, tenant = f"one/{source.random()}", str(source.random())
                await metrics.ask("record_metric", call, msgspec.structs.replace(CHAT, model=model, tenant=tenant))
            assert await self.operations(metrics, "ok") == total
            assert len(await metrics.stats()) <= self.most_samples

    async def test_counters_never_fall(self, tmp_path: Path) -> None:
        """Reading changes nothing, and more operations never make a counter or a histogram smaller."""
        async with self.metrics(tmp_path) as metrics:
            before: dict[Any, float] = {}
            for metric, _ in KINDS.values():
                await self.record(metrics, metric)
                for _ in range(2):
                    now = counts(await metrics.stats())
                    assert [key for key, value in before.items() if now.get(key, 0) < value] == []
                    before = now

    async def test_each_plugin_counts_for_itself(self, tmp_path: Path) -> None:
        """Two clients in one process do not see the operations of each other."""
        async with self.metrics(tmp_path / "one") as first:
            await self.record(first, CHAT)
        async with self.metrics(tmp_path / "two") as second:
            assert await self.operations(second, "ok") == 0

    async def test_samples_are_declared(self, tmp_path: Path) -> None:
        """What it reports are samples of ``Plugin.instruments``, with names as the convention wants them."""
        async with self.metrics(tmp_path) as metrics:
            for metric, times in KINDS.values():
                await self.record(metrics, metric, times)
            reported = {sample.instrument for sample in await metrics.stats()}
            assert reported <= set(metrics.plugin.instruments)
            assert [one.name for one in metrics.plugin.instruments if not NAME.fullmatch(one.name)] == []

    async def test_a_reload_loses_nothing(self, tmp_path: Path) -> None:
        """A plugin with counts stays open when the settings are read again."""
        async with self.metrics(tmp_path) as metrics:
            assert type(metrics.plugin).survives_reload


def counts(stats: Stats) -> dict[Any, float]:
    """Return the counters, and the sizes of histograms, by instrument and labels."""
    return {
        (sample.instrument.name, sample.labels): float(
            sample.value.count if isinstance(sample.value, Histogram) else sample.value
        )
        for sample in stats
        if sample.instrument.kind != "gauge"
    }
