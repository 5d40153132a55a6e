"""The expected outcome of a fault: the error with its fields, or the answer, and the effects on the connection."""

from __future__ import annotations

import attrs

from localagent import LocalAgentError
from localagent.errors import Billed, BreakerSign, Phase, StreamInterrupted
from localagent_testing.faults.dialects import TEXT


@attrs.frozen
class Says:
    """The expected advice of an error; None means any. Names as in ``localagent.errors.Advice``."""

    same: bool | None = None
    next: bool | None = None
    later: bool | None = None
    billed: Billed | None = None
    breaker: BreakerSign | None = None


@attrs.frozen
class Hint:
    """The expected ``retry_after``, in seconds.

    Attributes:
        low: At least this.
        high: At most this.
        absent: Whether None is accepted, too. ``NO_HINT`` accepts only None.
    """

    low: float
    high: float
    absent: bool = False


NO_HINT = Hint(1.0, 0.0, absent=True)


def hint(seconds: float) -> Hint:
    """Return a hint that must match exactly."""
    return Hint(seconds - 1e-6, seconds + 1e-6)


@attrs.frozen(kw_only=True)
class Expect:
    """The expected outcome of a fault. Fields that are None or empty are not checked.

    Attributes:
        errors: The allowed types of the error; empty when the call must succeed.
        causes: After content was returned: the types of the cause of the ``StreamInterrupted``.
        may_succeed: Whether success is accepted, too.
        phase: The phase, of the cause if there are causes, else of the error.
        code: The error's code.
        says: The error's advice.
        retry_after: The wait that the server asked for.
        shown: Parts of the server's message that the error must show.
        hidden: Parts of the server's message that the error must not show.
        partial: The partial text of a ``StreamInterrupted``.
        text: The answer's text.
        usage: Tokens of request and answer.
        model: The model that the answer names.
        tool_calls: Name and arguments of each tool call.
        requests: The number of requests that the server has read at the end.
        closed: Whether the connection must be closed at the end, and not kept for reuse.
        quiet: Whether nothing above INFO may be logged.
        recovers: Whether the same call must succeed as soon as the set-up is undone.
    """

    errors: tuple[type[LocalAgentError], ...] = ()
    causes: tuple[type[LocalAgentError], ...] = ()
    may_succeed: bool = False
    phase: Phase | None = None
    code: str | None = None
    says: Says = Says()
    retry_after: Hint | None = None
    shown: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    partial: str | None = None
    text: str | None = None
    usage: tuple[int, int] | None = None
    model: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()
    requests: int | None = 1
    closed: bool = False
    quiet: bool = False
    recovers: bool = False


def fails(
    *errors: type[LocalAgentError],
    says: Says = Says(),
    phase: Phase | None = None,
    code: str | None = None,
    retry_after: Hint | None = None,
    shown: tuple[str, ...] = (),
    hidden: tuple[str, ...] = (),
    may_succeed: bool = False,
    requests: int | None = 1,
    closed: bool = False,
    recovers: bool = False,
) -> Expect:
    """Expect an error of one of these types, before any content was returned."""
    return Expect(
        errors=errors,
        says=says,
        phase=phase,
        code=code,
        retry_after=retry_after,
        shown=shown,
        hidden=hidden,
        may_succeed=may_succeed,
        requests=requests,
        closed=closed,
        recovers=recovers,
    )


def interrupted(
    *causes: type[LocalAgentError],
    says: Says = Says(same=False, next=False, billed="yes"),
    phase: Phase | None = None,
    partial: str | None = "Hello",
    closed: bool = False,
) -> Expect:
    """Expect ``StreamInterrupted`` with the text that arrived; no causes means that the terminator is missing."""
    return Expect(errors=(StreamInterrupted,), causes=causes, says=says, phase=phase, partial=partial, closed=closed)


def succeeds(
    text: str = TEXT,
    *,
    usage: tuple[int, int] | None = None,
    model: str | None = None,
    tool_calls: tuple[tuple[str, str], ...] = (),
    requests: int = 1,
    closed: bool = False,
    quiet: bool = True,
) -> Expect:
    """Expect an answer with this text, and nothing above INFO in the log."""
    return Expect(
        text=text, usage=usage, model=model, tool_calls=tool_calls, requests=requests, closed=closed, quiet=quiet
    )
