"""Summaries as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localagent_metrics_summary.records import Distribution, Summary

COLUMNS = ("Operations", "Errors", "Cached", "Tokens", "Retries", "p50", "p95", "p99", "First token p50",
           "Between tokens p50")  # fmt: skip


def table(summaries: Mapping[str, Summary], by: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return the headings and the rows, those with the most operations first.

    Args:
        summaries: The summaries, by what ``by`` names.
        by: The heading of the first column.
    """
    ordered = sorted(summaries.items(), key=lambda item: -item[1].total_operations)
    return (by.capitalize(), *COLUMNS), [(name or "(none)", *_row(one)) for name, one in ordered]


def _row(one: Summary) -> Sequence[str]:
    latency = [_seconds(one.latency, share) for share in ("p50", "p95", "p99")]
    return (
        str(one.total_operations), _percent(one.error_rate), _percent(one.cache_hit_rate),
        str(one.total_tokens_processed), str(one.retries), *latency, _seconds(one.first_token, "p50"),
        _seconds(one.between_tokens, "p50"),
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _seconds(distribution: Distribution | None, name: str) -> str:
    """Return a readable duration; a hyphen if nothing was measured."""
    if distribution is None:
        return "-"
    seconds: float = getattr(distribution, name)
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
