"""The number of series and the memory do not grow with the names that clients send."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from prometheus_client.parser import text_string_to_metric_families

from localagent import Metric, Stats, Usage
from localagent.reporting import resident_bytes
from localagent_metrics_prometheus import exposition
from localagent_metrics_summary import SummaryPlugin
from localagent_testing import FakeCore
from localagent_testing.contracts.base import FULL, often

OPERATIONS = often(50_000, 1_000_000)
MOST_SERIES = 2000
MOST_GROWTH = 2 * 1024 * 1024
"""Bytes of all Python objects that may come in the last nine tenths of the operations; they hold no more names."""
CODES = ("", "", "", "rate_limited", "upstream_timeout", "model_not_found")


def metric(source: random.Random) -> Metric:
    """Return an operation with names that were never seen before."""
    code = source.choice(CODES)
    return Metric(
        operation=source.choice(("chat", "complete", "embed")),
        status="failed" if code else "ok",
        model=f"{source.choice(('one', 'two'))}/{source.random()}",
        instance=source.choice(("one#1", "one#2", "two#1")),
        seconds=source.expovariate(1.0),
        first=source.random() if source.random() < 0.5 else None,
        attempts=1 + (source.random() < 0.1),
        usage=Usage(source.randint(1, 5000), source.randint(1, 500)),
        cached="cache-memory" if source.random() < 0.2 and not code else "",
        coalesced=False,
        code=code,
        call="",
        parent="",
        tenant=str(source.random()),
    )


@pytest.mark.parametrize("detail", [(), ("model",)])
async def test_random_names_make_no_series(detail: tuple[str, ...]) -> None:
    """Random models and tenants: fewer than 2,000 series, nothing uncounted, flat memory."""
    source = random.Random(11)
    async with FakeCore() as core, core.plugged(SummaryPlugin) as plugged:
        record, call, memory = plugged.plugin.record_metric, core.call(), []
        tracemalloc.start()
        for number in range(OPERATIONS):
            record(call, metric(source))
            if number + 1 in (OPERATIONS // 10, OPERATIONS):
                memory.append((tracemalloc.get_traced_memory()[0], resident_bytes()))
        tracemalloc.stop()
        text, _ = exposition(await plugged.stats(), "", detail)
        stats = await plugged.stats()
    series = sum(len(family.samples) for family in text_string_to_metric_families(text.decode()))
    print(f"{OPERATIONS} operations, {series} series, memory {memory}")
    assert stats.value("operations") == OPERATIONS
    assert isinstance(stats, Stats)
    if not detail:
        assert series < MOST_SERIES
    assert memory[1][0] - memory[0][0] < MOST_GROWTH
    if FULL:
        assert memory[1][1] - memory[0][1] < 4 * MOST_GROWTH
