"""What is recorded of every operation."""

from __future__ import annotations

from typing import Literal

import msgspec

from localagent.responses import Usage

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
