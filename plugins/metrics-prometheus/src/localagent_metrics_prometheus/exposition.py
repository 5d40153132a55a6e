"""Samples in the text formats of Prometheus, written by the official client library."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from localagent import Histogram, Instrument, Stats

PREFIX = "localagent_"
LIMITS = tuple(2.0**exponent for exponent in range(-10, 10))
"""Upper limits of the buckets, from a millisecond to 512 s. Powers of two are bounds of our own buckets: counts are
exact."""


def exposition(stats: Stats, accept: str = "", detail: Collection[str] = ()) -> tuple[bytes, str]:
    """Return samples as text, and its content type.

    Args:
        stats: The samples.
        accept: What the client accepts, as in the header ``Accept``: OpenMetrics, or else the older text format.
        detail: Labels that are shown although they may have many values.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(stats, detail))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Families(Collector):
    def __init__(self, stats: Stats, detail: Collection[str]) -> None:
        self._stats = stats
        self._detail = detail

    def collect(self) -> Iterator[Any]:
        """Yield a metric family for each instrument."""
        for instrument, row in self._stats.coarse(self._detail).rows():
            family = _family(instrument)
            for labels, value in row.items():
                _add(family, labels, value)
            yield family


def _family(instrument: Instrument) -> Any:
    kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    name = PREFIX + instrument.name.replace(".", "_")
    return kinds[instrument.kind](name, instrument.description, labels=instrument.labels, unit=instrument.unit)


def _add(family: Any, labels: tuple[str, ...], value: Any) -> None:
    if isinstance(value, Histogram):
        buckets = [*zip(map(repr, LIMITS), value.cumulative(LIMITS), strict=True), ("+Inf", value.count)]
        family.add_metric(labels, buckets, value.sum)
    else:
        family.add_metric(labels, value)
