"""The lines of a receipt: one for each step, one for each attempt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from localagent.errors import LocalAgentError


class StepRecord(msgspec.Struct, frozen=True):
    """One step's line of a receipt. Contains names and types, never a user's text.

    Attributes:
        hook: The hook.
        plugin: The plugin that the step belongs to.
        decision: Its decision, in a few words.
        microseconds: Its duration in microseconds, waiting included.
        at: Microseconds from the start of the call to its start.
    """

    hook: str
    plugin: str
    decision: str
    microseconds: float
    at: float = 0.0

    @staticmethod
    def describe(result: Any) -> str:
        """Describe a step's result without its content."""
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


class StepRecords(list[StepRecord]):
    """The lines of a receipt while its call runs.

    Args:
        clock: The clock of the call, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.clock = clock

    def seen_from(self, later: float) -> list[StepRecord]:
        """Return the lines for a receipt whose call started so many microseconds earlier."""
        return [msgspec.structs.replace(step, at=step.at + later) for step in self]


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt's line of a receipt.

    Attributes:
        number: 1 for the first attempt that was sent.
        target: Where it was sent.
        status: How it ended.
        code: The error's code; empty when ok.
        milliseconds: Milliseconds from its start to its end.
        first_milliseconds: Milliseconds from its start to its first content; None when not streamed.
        at: Milliseconds from the start of the call to its start; negative if it was shared and began earlier.
    """

    number: int
    target: str
    status: str
    code: str
    milliseconds: float
    first_milliseconds: float | None
    at: float = 0.0
