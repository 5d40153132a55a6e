"""Receipts: what each step decided for a call, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from localagent.errors import LocalAgentError

if TYPE_CHECKING:
    from localagent.attempt import Attempt
    from localagent.call import Call


class StepRecord(msgspec.Struct, frozen=True):
    """One step's line of a receipt. Holds names and types, never text of a user.

    Attributes:
        hook: The hook.
        plugin: Whose step it was.
        decision: What it decided, in a few words.
        microseconds: What it took, waiting included.
    """

    hook: str
    plugin: str
    decision: str
    microseconds: float

    @staticmethod
    def describe(result: Any) -> str:
        """Name a step's result without showing its content."""
        if result is None:
            return "-"
        if isinstance(result, LocalAgentError):
            return f"raised {result.code}"
        if isinstance(result, BaseException):
            return f"raised {type(result).__name__}"
        if isinstance(result, tuple):
            return ", ".join(str(item) for item in result) or "none"
        error = getattr(result, "error", None)
        detail = f" ({error.code})" if isinstance(error, LocalAgentError) else ""
        where = getattr(result, "where", "")
        return f"{type(result).__name__}{detail}{f' {where}' if where else ''}"


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt's line of a receipt.

    Attributes:
        number: 1 for the first that was sent.
        target: Where it went.
        status: How it ended.
        code: The error's code; empty when ok.
        milliseconds: From its start to its end.
        first_milliseconds: To its first content, when streamed.
    """

    number: int
    target: str
    status: str
    code: str
    milliseconds: float
    first_milliseconds: float | None


class Receipt(msgspec.Struct, frozen=True):
    """What became of a call.

    Attributes:
        call: The call's id.
        steps: What each step decided, in the order in which they were asked.
        attempts: The attempts that were sent.
        milliseconds: From the start to the end.
        cached: The cache plugin that answered; empty when a model did.
        coalesced: Whether the attempts were shared with identical calls, and are accounted for by another.
    """

    call: str
    steps: tuple[StepRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    milliseconds: float
    cached: str
    coalesced: bool = False


def receipt_of(call: Call, now: float) -> Receipt:
    """Return the receipt of a call that recorded its steps.

    Args:
        call: The call.
        now: The clock's time.
    """
    return Receipt(
        call=call.id,
        steps=tuple(call.records or ()),
        attempts=tuple(_attempt_record(attempt) for attempt in call.attempts),
        milliseconds=(now - call.started) * 1000,
        cached=call.cached,
        coalesced=call.coalesced,
    )


def _attempt_record(attempt: Attempt) -> AttemptRecord:
    outcome = attempt.outcome
    ended = outcome.ended if outcome else attempt.started
    return AttemptRecord(
        number=attempt.number,
        target=str(attempt.target),
        status=outcome.status if outcome else "open",
        code=outcome.error.code if outcome and outcome.error else "",
        milliseconds=(ended - attempt.started) * 1000,
        first_milliseconds=None if attempt.first is None else (attempt.first - attempt.started) * 1000,
    )
