"""What the plugin reports: the instruments, and their samples."""

from __future__ import annotations

from collections.abc import Iterator

from localagent import Instrument, Sample
from localagent_metrics_summary.tallies import GROUP, Tallies

_WHICH = ("operation", "provider", "model", "instance", "tenant")
_FINE = ("instance", "tenant")
_FINEST = ("model", "instance", "tenant")

OPERATIONS = Instrument(
    "operations", "counter",
    "Operations that have ended, by status (ok, failed, refused or cancelled), code of the error, and source of the "
    "answer (model, flight, or the cache).",
    labels=(*_WHICH, "status", "code", "source"), detail=_FINE,
)  # fmt: skip
TOKENS = Instrument(
    "tokens", "counter",
    "Tokens that models read and wrote, by type. Those of cached and shared answers are not included.",
    unit="tokens", labels=(*_WHICH, "type"), detail=_FINE,
)  # fmt: skip
ATTEMPTS = Instrument("attempts", "counter", "Attempts that were sent.", labels=_WHICH, detail=_FINE)
RETRIES = Instrument("retries", "counter", "Attempts after the first of an operation.", labels=_WHICH, detail=_FINE)
DURATION = Instrument(
    "operation.duration", "histogram", "Duration of successful operations, by source of the answer.",
    unit="seconds", labels=(*_WHICH, "source"), detail=_FINEST,
)  # fmt: skip
FIRST_TOKEN = Instrument(
    "operation.first_token", "histogram", "Time to the first content of streams that a model answered.",
    unit="seconds", labels=_WHICH, detail=_FINEST,
)  # fmt: skip
BETWEEN_TOKENS = Instrument(
    "operation.between_tokens", "histogram", "Mean time between the tokens of a stream, after the first content.",
    unit="seconds", labels=_WHICH, detail=_FINEST,
)  # fmt: skip
QUEUE = Instrument(
    "operation.queue", "histogram", "Time from the start of an operation until its first attempt was sent.",
    unit="seconds", labels=_WHICH, detail=_FINEST,
)  # fmt: skip
OPERATIONS_RATE = Instrument("operations.rate", "gauge", "Operations per second, over the last seconds (``window``).")
TOKENS_RATE = Instrument("tokens.rate", "gauge", "Tokens per second, over the last seconds (``window``).")
ERRORS_RATE = Instrument("errors.rate", "gauge", "Failed and refused operations per second (``window``).")

INSTRUMENTS = (
    OPERATIONS, TOKENS, ATTEMPTS, RETRIES, DURATION, FIRST_TOKEN, BETWEEN_TOKENS, QUEUE, OPERATIONS_RATE, TOKENS_RATE,
    ERRORS_RATE,
)  # fmt: skip
"""The instruments of metrics-summary."""


def samples(tallies: Tallies, rates: tuple[float, float, float]) -> Iterator[Sample]:
    """Yield the samples of all groups, and the rates: operations, tokens and errors per second."""
    for instrument, rate in zip((OPERATIONS_RATE, TOKENS_RATE, ERRORS_RATE), rates, strict=True):
        yield instrument.sample(rate)
    for group, tally in tallies:
        which = tuple(getattr(group, name) for name in GROUP)
        for outcome, count in tally.outcomes.items():
            yield OPERATIONS.sample(count, *which, *outcome)
        for kind, tokens in tally.tokens.items():
            yield TOKENS.sample(tokens, *which, kind)
        yield ATTEMPTS.sample(tally.attempts, *which)
        yield RETRIES.sample(tally.retries, *which)
        for source, seconds in tally.durations.items():
            yield DURATION.sample(seconds, *which, source)
        for instrument, histogram in (
            (FIRST_TOKEN, tally.first_token),
            (BETWEEN_TOKENS, tally.between_tokens),
            (QUEUE, tally.queue),
        ):
            if histogram.count:
                yield instrument.sample(histogram, *which)
