"""Reports about a call: its receipt (the decision of each step) and its metric (recorded for every operation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localagent.errors import LocalAgentError
from localagent.records.receipt_lines import AttemptRecord, StepRecord
from localagent.records.responses import Usage
from localagent.records.timeline import Span, timeline

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt
    from localagent.records.call import Call

MetricStatus = Literal["ok", "failed", "refused", "cancelled"]


class Receipt(msgspec.Struct, frozen=True):
    """What happened during a call.

    Attributes:
        call: The call's id.
        steps: The decision of each step, in the order in which they ran.
        attempts: The attempts that were sent.
        milliseconds: Milliseconds from the start of the call to its end.
        cached: The cache plugin that answered; empty when a model did.
        coalesced: Whether the attempts were shared with identical calls, and another call accounts for them.

    Since: 0.1.
    """

    call: str
    steps: tuple[StepRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    milliseconds: float
    cached: str
    coalesced: bool = False

    @property
    def timeline(self) -> tuple[Span, ...]:
        """Where the time went, in order: each step, each attempt without the steps inside it, waiting, and the core."""
        return timeline(self.steps, self.attempts, self.milliseconds * 1000)


def receipt_of(call: Call, now: float) -> Receipt:
    """Return the receipt of a call that recorded its steps.

    Args:
        call: The call.
        now: The current clock time.
    """
    return Receipt(
        call=call.id,
        steps=tuple(call.records or ()),
        attempts=tuple(_attempt_record(attempt, call.started) for attempt in call.attempts),
        milliseconds=(now - call.started) * 1000,
        cached=call.cached,
        coalesced=call.coalesced,
    )


def _attempt_record(attempt: Attempt, began: float) -> AttemptRecord:
    outcome = attempt.outcome
    ended = outcome.ended if outcome else attempt.started
    return AttemptRecord(
        number=attempt.number,
        target=str(attempt.target),
        status=outcome.status if outcome else "open",
        code=outcome.error.code if outcome and outcome.error else "",
        milliseconds=(ended - attempt.started) * 1000,
        first_milliseconds=None if attempt.first is None else (attempt.first - attempt.started) * 1000,
        at=(attempt.started - began) * 1000,
    )


class Metric(msgspec.Struct, frozen=True):
    """The figures of one operation, for metrics. Contains only names from the settings and codes, never a user's text.

    Attributes:
        operation: chat, complete or embed.
        status: ok, failed (an attempt's error), refused (before anything was sent) or cancelled.
        model: The model that answered, was tried last, or was refused by a gate, as ``provider/name``; empty if no
            target was chosen.
        instance: The id of that instance.
        seconds: Seconds from the start of the call to its end.
        first: Seconds to the first content of a stream; None when not streamed.
        attempts: Attempts that were sent.
        usage: Tokens, when reported; also those of a cached or coalesced answer.
        cached: The cache plugin that answered; empty when a model did.
        coalesced: Whether it shared a flight that the metric of another call accounts for; ``attempts`` is 0 then.
            Exactly one of the calls that share a flight is not coalesced.
        code: The error's code; empty when ok.
        call: The call's id.
        parent: The id of the call during which a plugin made this one; empty for a user's call.
        tenant: The tenant that made the call.
        saved: Seconds that a cached answer had taken when a model made it, minus ``seconds``, at least 0; 0 without a
            cached answer.
        queued: Seconds from the start of the call until its first attempt was sent: steps, lookups, and waiting for
            admission; 0 when none was sent.
        stream: Whether the user read the answer as a stream.

    Since: 0.1.
    """

    operation: str
    status: MetricStatus
    model: str
    instance: str
    seconds: float
    first: float | None
    attempts: int
    usage: Usage | None
    cached: str
    coalesced: bool
    code: str
    call: str
    parent: str
    tenant: str
    saved: float = 0.0
    queued: float = 0.0
    stream: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that a model read and wrote for this operation; 0 for cached and coalesced answers."""
        usage = self.usage
        if usage is None or self.cached or self.coalesced:
            return 0
        return usage.total_tokens or (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)


def metric_of(call: Call, error: LocalAgentError | None, usage: Usage | None, *, cancelled: bool, now: float) -> Metric:
    """Return the metric of a call that has ended.

    Args:
        call: The call.
        error: The error that ended it; None if there was no error.
        usage: Tokens, when reported.
        cancelled: Whether the caller left before its end.
        now: The current clock time.
    """
    last, hit = call.attempts[-1] if call.attempts else None, call.hit
    status: MetricStatus = "ok"
    if cancelled:
        status = "cancelled"
    elif error is not None:
        status = "refused" if last is None else "failed"
    seconds = now - call.started
    target = call.refused_target if last is None else last.target
    model = target.name if target is not None else "" if hit is None else hit.key.model
    return Metric(
        operation=call.operation,
        status=status,
        model=model,
        instance=target.instance.id if target is not None else "",
        seconds=seconds,
        first=max(0.0, last.first - call.started) if last and last.first is not None else None,
        attempts=0 if call.coalesced else len(call.attempts),
        usage=usage,
        cached=call.cached,
        coalesced=call.coalesced,
        code=error.code if error else "",
        call=call.id,
        parent=call.parent.id if call.parent else "",
        tenant=call.principal.tenant,
        saved=0.0 if hit is None else max(0.0, hit.seconds - seconds),
        queued=0.0 if last is None or call.coalesced else max(0.0, call.attempts[0].sent - call.started),
        stream=call.stream,
    )
