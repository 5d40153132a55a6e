"""Records of single operations, and the summary of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from localagent import Histogram, Sample
from localagent_metrics_summary.instruments import (
    BETWEEN_TOKENS,
    DURATION,
    FIRST_TOKEN,
    OPERATIONS,
    OPERATIONS_RATE,
    QUEUE,
    RETRIES,
    TOKENS,
)
from localagent_metrics_summary.tallies import FLIGHT, MODEL

_WHOLE = ("prompt", "completion", "unknown")  # the other types of tokens are parts of these


class OperationRecord(msgspec.Struct):
    """One operation.

    Attributes:
        provider: The provider's name.
        operation: chat, complete, embed, or the name that ``start_operation`` was given.
        start_time: When it started, in seconds since the epoch.
        end_time: When it ended, in seconds since the epoch; None while it runs.
        duration: Its seconds, measured with a monotonic clock; None while it runs.
        tokens_processed: Tokens that were read and written; 0 for a cached answer.
        cache_hit: Whether a cache answered.
        error: The error's code; None when it succeeded.
        memory_usage: Resident memory of the process in bytes, sampled once a second.
    """

    provider: str
    operation: str
    start_time: float
    end_time: float | None = None
    duration: float | None = None
    tokens_processed: int = 0
    cache_hit: bool = False
    error: str | None = None
    memory_usage: int = 0


class Distribution(msgspec.Struct, frozen=True):
    """A distribution of seconds.

    Attributes:
        count: The number of values.
        mean: Their mean.
        p50: Half of the values are below it, within 1 %.
        p90: The 90th percentile.
        p95: The 95th percentile.
        p99: The 99th percentile.
        max: The largest value, exactly.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, histogram: Histogram) -> Distribution | None:
        """Return the distribution of a histogram's values; None if it is empty."""
        if not histogram.count:
            return None
        p50, p90, p95, p99 = (histogram.percentile(share) or 0.0 for share in (0.5, 0.9, 0.95, 0.99))
        return cls(histogram.count, histogram.sum / histogram.count, p50, p90, p95, p99, histogram.most)


class Summary(msgspec.Struct, frozen=True):
    """The summary of operations.

    Attributes:
        total_operations: Operations that have ended.
        successful_operations: Those that ended without an error.
        error_rate: The share of failed and refused operations among those that were not cancelled; None for none.
        average_latency: Mean seconds of the successful operations that a model answered; None for none.
        cache_hit_rate: The share of successful operations that a cache answered; None for none.
        total_tokens_processed: Tokens that models read and wrote.
        operations_per_second: The rate over the last ``window`` seconds; None where it is not measured.
        statuses: Operations by status: ok, failed, refused, cancelled.
        errors: Operations by code of the error.
        sources: Successful operations by source: model, flight, or the cache.
        tokens: Tokens by type.
        retries: Attempts after the first of an operation.
        latency: Seconds of the successful operations that a model answered.
        cached_latency: Seconds of those that a cache or a flight answered.
        first_token: Seconds to the first content of streams.
        between_tokens: Seconds between the tokens of a stream.
        queue: Seconds until the first attempt was sent.
    """

    total_operations: int
    successful_operations: int
    error_rate: float | None
    average_latency: float | None
    cache_hit_rate: float | None
    total_tokens_processed: int
    operations_per_second: float | None
    statuses: dict[str, int]
    errors: dict[str, int]
    sources: dict[str, int]
    tokens: dict[str, int]
    retries: int
    latency: Distribution | None
    cached_latency: Distribution | None
    first_token: Distribution | None
    between_tokens: Distribution | None
    queue: Distribution | None


class _Sums:
    """The sums of the samples of one line of a summary."""

    def __init__(self) -> None:
        self.statuses: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.sources: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.retries = 0
        self.rate: float | None = None
        self.seconds = {name: Histogram() for name in ("latency", "cached_latency")}
        self.others = {one.name: Histogram() for one in (FIRST_TOKEN, BETWEEN_TOKENS, QUEUE)}

    def add(self, sample: Sample, labels: Mapping[str, str]) -> None:
        value: Any = sample.value
        instrument = sample.instrument.name
        if instrument == OPERATIONS.name:
            _count(self.statuses, labels["status"], value)
            _count(self.errors, labels["code"], value)
            if labels["status"] == "ok":
                _count(self.sources, labels["source"], value)
        elif instrument == TOKENS.name:
            _count(self.tokens, labels["type"], value)
        elif instrument == RETRIES.name:
            self.retries += value
        elif instrument == OPERATIONS_RATE.name:
            self.rate = (self.rate or 0.0) + value
        elif instrument == DURATION.name:
            self.seconds["latency" if labels["source"] == MODEL else "cached_latency"].merge(value)
        elif instrument in self.others:
            self.others[instrument].merge(value)

    def summary(self) -> Summary:
        total, good = sum(self.statuses.values()), self.statuses.get("ok", 0)
        known = total - self.statuses.get("cancelled", 0)
        hits = sum(count for source, count in self.sources.items() if source not in (MODEL, FLIGHT))
        return Summary(
            total_operations=total,
            successful_operations=good,
            error_rate=(known - good) / known if known else None,
            average_latency=self.seconds["latency"].mean,
            cache_hit_rate=hits / good if good else None,
            total_tokens_processed=sum(self.tokens.get(kind, 0) for kind in _WHOLE),
            operations_per_second=self.rate,
            statuses=self.statuses,
            errors={code: count for code, count in self.errors.items() if code},
            sources=self.sources,
            tokens=self.tokens,
            retries=self.retries,
            **{name: Distribution.of(histogram) for name, histogram in self.seconds.items()},
            first_token=Distribution.of(self.others[FIRST_TOKEN.name]),
            between_tokens=Distribution.of(self.others[BETWEEN_TOKENS.name]),
            queue=Distribution.of(self.others[QUEUE.name]),
        )


def summaries(samples: Iterable[Sample], by: str | None = None) -> dict[str, Summary]:
    """Return summaries of the samples that this plugin reports, of one process or merged from several.

    Args:
        samples: The samples; those of others are ignored.
        by: How to group them: operation, provider, model, instance or tenant; None for one summary, under "".

    Returns:
        The summaries by the values of the label, sorted by them. Rates are only known without grouping.
    """
    lines: dict[str, _Sums] = {} if by else {"": _Sums()}
    for sample in samples:
        labels = dict(zip(sample.instrument.labels, sample.labels, strict=True))
        if by is None or by in labels:
            lines.setdefault(_line(labels, by), _Sums()).add(sample, labels)
    return {name: sums.summary() for name, sums in sorted(lines.items()) if by is None or sums.statuses}


def _line(labels: Mapping[str, str], by: str | None) -> str:
    if by == "model" and labels["provider"]:
        return f"{labels['provider']}/{labels['model']}"
    return labels[by] if by else ""


def _count(counts: dict[str, int], name: str, more: int) -> None:
    counts[name] = counts.get(name, 0) + more
