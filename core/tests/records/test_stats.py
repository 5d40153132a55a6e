"""``Stats``: samples with equal labels are merged, and nothing is lost on the way to another process."""

from __future__ import annotations

import msgspec
import pytest

from localagent import Histogram, Instrument, Sample, Stats

HITS = Instrument("cache.hits", "counter", "Hits.", labels=("plugin", "model"), detail=("model",))
BUSY = Instrument("pool.utilisation", "gauge", "Share.", unit="ratio", merge="max")
SIZE = Instrument("cache.size", "gauge", "Size.", unit="bytes", labels=("plugin",))
SECONDS = Instrument("call.duration", "histogram", "Seconds.", unit="seconds", labels=("model",), detail=("model",))


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.observe(value)
    return made


def table() -> Stats:
    return Stats([
        HITS.sample(3, "memory", "a"), HITS.sample(4, "memory", "b"), HITS.sample(5, "sqlite", "a"),
        BUSY.sample(0.25), SIZE.sample(100, "memory"),
        SECONDS.sample(histogram(0.1), "a"), SECONDS.sample(histogram(0.2, 0.3), "b"),
    ])  # fmt: skip


def test_processes_are_summed() -> None:
    """Counters, histograms and sizes add up; of a share, the largest one counts."""
    stats = table()
    stats.merge(table())
    stats.add(BUSY.sample(0.5))
    assert stats.value("cache.hits", plugin="memory") == 14
    assert stats.value("pool.utilisation") == 0.5
    assert stats.value("cache.size") == 200
    assert stats.value("call.duration").count == 6


def test_merging_changes_no_other_table() -> None:
    """The histograms of a plugin are not touched when its samples are merged."""
    own = histogram(0.1)
    stats = Stats([SECONDS.sample(own, "a")])
    stats.merge([SECONDS.sample(histogram(0.2), "a")])
    assert (own.count, stats.value("call.duration").count) == (1, 2)


def test_values_by_labels() -> None:
    """Labels that are not given may have any value; what there is no sample of is None."""
    stats = table()
    assert stats.value("cache.hits") == 12
    assert stats.value("cache.hits", model="a") == 8
    assert stats.value("cache.hits", plugin="memory", model="b") == 4
    assert stats.value("cache.hits", plugin="other") is None
    assert stats.value("no.such") is None


def test_details_can_be_left_out() -> None:
    """Samples that differ in such a label only become one."""
    coarse = table().coarse()
    assert [(sample.instrument.name, sample.labels) for sample in coarse if sample.instrument.name == "cache.hits"] == [
        ("cache.hits", ("memory",)), ("cache.hits", ("sqlite",)),
    ]  # fmt: skip
    assert coarse.value("cache.hits", plugin="memory") == 7
    assert coarse.value("call.duration").count == 3
    assert len(table().coarse(["model"])) == len(table())


def test_what_remains_of_a_process() -> None:
    """Its counters and histograms, and no gauge."""
    assert {sample.instrument.kind for sample in table().counted()} == {"counter", "histogram"}


def test_a_table_goes_through_json() -> None:
    """Workers send it to their supervisor."""
    stats = table()
    read = Stats.from_builtins(msgspec.json.decode(msgspec.json.encode(stats.to_builtins())))
    assert list(read) == list(stats)
    with pytest.raises(msgspec.ValidationError):
        Stats.from_builtins([["cache.hits", 3]])


def test_a_sample_knows_its_instrument() -> None:
    """Labels are positional, in the order that the instrument names."""
    assert HITS.sample(1, "memory", "a") == Sample(HITS, 1, ("memory", "a"))
