"""What must come of a fault: the error with all that it says, or the answer, and what was seen on the wire."""

from __future__ import annotations

import attrs

from localagent import LocalAgentError
from localagent.errors import Billed, BreakerSign, Phase, StreamInterrupted
from localagent_testing.faults.dialects import TEXT


@attrs.frozen
class Says:
    """What an error must advise; None leaves it open. Names as in ``localagent.errors.Advice``."""

    same: bool | None = None
    next: bool | None = None
    later: bool | None = None
    billed: Billed | None = None
    breaker: BreakerSign | None = None


@attrs.frozen
class Hint:
    """What ``retry_after`` must be, in seconds.

    Attributes:
        low: At least this.
        high: At most this.
        absent: Whether None is right too. ``NO_HINT`` allows None alone.
    """

    low: float
    high: float
    absent: bool = False


NO_HINT = Hint(1.0, 0.0, absent=True)


def hint(seconds: float) -> Hint:
    """Return the hint that must be given exactly."""
    return Hint(seconds - 1e-6, seconds + 1e-6)


@attrs.frozen(kw_only=True)
class Expect:
    """What must come of a fault. Everything that is None or empty is left open.

    Attributes:
        errors: The error is of one of these types; empty when the call must succeed.
        causes: After content was handed out: type of the cause that the ``StreamInterrupted`` names.
        may_succeed: Whether success is right too.
        phase: The phase, of the cause where there are causes, else of the error.
        code: The error's code.
        says: What the error advises.
        retry_after: The wait that the server asked for.
        shown: Parts of the server's message that the error must show.
        hidden: Parts of the server's message that the error must not show.
        partial: The text that a ``StreamInterrupted`` keeps.
        text: The answer's text.
        usage: Tokens of request and answer.
        model: The model that the answer names.
        tool_calls: Name and arguments of each tool call.
        requests: Requests that the server has read in the end.
        closed: Whether the connection must be closed in the end, and not kept for reuse.
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
    """Expect an error of one of these types; the call handed out nothing."""
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
    """Expect ``StreamInterrupted`` with what arrived; without causes it is the missing terminator itself."""
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
