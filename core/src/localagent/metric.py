"""What is recorded of every operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localagent.responses import Usage

if TYPE_CHECKING:
    from localagent.call import Call
    from localagent.errors import LocalAgentError

MetricStatus = Literal["ok", "failed", "refused", "cancelled"]


class Metric(msgspec.Struct, frozen=True):
    """One operation, as metrics see it. Holds names from the settings and codes only, never text of a user.

    Attributes:
        operation: chat, complete or embed.
        status: ok, failed (an attempt's error), refused (before anything was sent) or cancelled.
        model: The model that answered or was tried last, as ``provider/name``.
        instance: The id of that instance.
        seconds: From the start of the call to its end.
        first: Seconds to the first content of a stream; None when not streamed.
        attempts: Attempts that were sent.
        usage: Tokens, when reported.
        cached: The cache plugin that answered; empty when a model did.
        coalesced: Whether it shared a flight that another call's metric accounts for; ``attempts`` is 0 then. Exactly
            one of the calls that share a flight is not coalesced.
        code: The error's code; empty when ok.
        call: The call's id.
        parent: The id of the call whose plugin sent this one; empty for a user's call.
        tenant: Whose call it was.
        saved: Seconds that the cached answer had taken when a model made it, less those of this call; 0 otherwise. The
            tokens of an answer that was cached or coalesced are those in ``usage``.
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


def metric_of(call: Call, error: LocalAgentError | None, usage: Usage | None, *, cancelled: bool, now: float) -> Metric:
    """Return the metric of a call that has ended.

    Args:
        call: The call.
        error: What ended it, if an error did.
        usage: Tokens, when reported.
        cancelled: Whether it was left before its end.
        now: The clock's time.
    """
    last, hit = call.attempts[-1] if call.attempts else None, call.hit
    status: MetricStatus = "ok"
    if cancelled:
        status = "cancelled"
    elif error is not None:
        status = "refused" if last is None else "failed"
    seconds = now - call.started
    model = last.target.name if last else "" if hit is None else hit.key.model
    return Metric(
        operation=call.operation,
        status=status,
        model=model,
        instance=last.target.instance.id if last else "",
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
    )
