"""One attempt at one target, and the records that steps return about it."""

from __future__ import annotations

import logging
from asyncio import CancelledError, Future
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from localagent.errors import LocalAgentError
from localagent.records.instances import InstanceState, Target
from localagent.records.responses import Usage

if TYPE_CHECKING:
    from localagent.http_answers.error_rules import ErrorRule
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.timing.phases import PhaseTimer

log = logging.getLogger("localagent")

Status = Literal["ok", "failed", "cancelled", "superseded", "refused"]


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended.

    Attributes:
        status: ok, failed, cancelled, superseded (another attempt won) or refused (never sent).
        error: The error that ended it; None when it is ok.
        usage: Tokens, when the server reported them.
        started: Clock time at which it opened.
        first: Clock time of its first content, if any came.
        ended: Clock time at which it closed.
    """

    status: Status
    error: LocalAgentError | None = None
    usage: Usage | None = None
    started: float = 0.0
    first: float | None = None
    ended: float = 0.0


class Ticket(Protocol):
    """A place in the queue of a plugin that refused an attempt for now."""

    def fired(self) -> Future[None]:
        """Return a future that is done when asking again may help."""

    def cancel(self) -> None:
        """Leave the queue and return a grant that was not used; idempotent."""


class Refused(msgspec.Struct, frozen=True):
    """A gate's refusal.

    Attributes:
        error: The error that the user gets if every candidate is refused.
        retry_after: Seconds after which asking again may help; None when it is not known.
        ticket: A place in the plugin's queue.
    """

    error: LocalAgentError
    retry_after: float | None = None
    ticket: Ticket | None = None


class Retry(msgspec.Struct, frozen=True):
    """A failure step's advice: try again.

    Attributes:
        where: ``same`` target, the ``next`` one, or a target.
        after: Seconds to wait first.
    """

    where: Literal["same", "next"] | Target = "next"
    after: float = 0.0


class Continue(msgspec.Struct, frozen=True):
    """A failure step's advice: let another target continue where a stream broke.

    Attributes:
        prefix: The text that has arrived.
        where: ``next``, or a target.
    """

    prefix: str
    where: Literal["next"] | Target = "next"


class GiveUp(msgspec.Struct, frozen=True):
    """A failure step's advice: end the call, with ``error`` if it is given, else with the attempt's own error."""

    error: LocalAgentError | None = None


class Attempt:
    """One attempt at one target, with its own lifetime and deferred functions. The core creates it.

    Attributes:
        call: The call.
        number: 1 for the first attempt that is sent; 0 until all gates have admitted it.
        target: Where it is sent.
        request: The request as it will be sent, adapted to the target.
        outcome: How it ended; None while it runs.
        started: Clock time at which it opened.
        sent: Clock time at which all gates had admitted it; equal to ``started`` before, and if there are no gates.
        first: Clock time of its first content; None before it came.
        state: The instance's counts.
        ticket: The ticket that a gate gave for this target, when the target is asked again.
        phases: The provider reports to it which phase of the exchange begins.
        error_rules: The provider type's own rules that map answers to errors.
    """

    __slots__ = ("_deferred", "call", "error_rules", "first", "number", "outcome", "phases", "request", "sent",
                 "started", "state", "target", "ticket")  # fmt: skip

    def __init__(self, call: Call, target: Target, state: InstanceState, request: Request, now: float) -> None:
        self.call = call
        self.target = target
        self.request = request
        self.number = 0
        self.started = self.sent = now
        self.first: float | None = None
        self.outcome: Outcome | None = None
        self.ticket: Ticket | None = None
        self.phases: PhaseTimer
        self.error_rules: Sequence[ErrorRule] = ()
        self._deferred: list[Callable[[Outcome], None]] = []
        self.state = state
        state.in_flight += 1

    def defer(self, function: Callable[[Outcome], None]) -> None:
        """Register a function that is called exactly once when this attempt ends, for any reason; the last one first.

        Args:
            function: Synchronous; receives the outcome. A gate releases here what it has acquired.
        """
        self._deferred.append(function)

    def close(self, outcome: Outcome) -> bool:
        """Take the attempt out of the in-flight count; False when it was closed before. For the core only."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self.state.in_flight -= 1
        return True

    def run_deferred(self) -> None:
        """Call the deferred functions, the last one first, even if others fail. For the core only."""
        while self._deferred:
            function = self._deferred.pop()
            try:
                assert self.outcome is not None
                function(self.outcome)
            except (Exception, CancelledError):  # a plugin's function; the others must still release what they hold
                log.exception("A deferred function of %s failed.", getattr(function, "__module__", "a plugin"))

    def __repr__(self) -> str:
        return f"<Attempt {self.number} of {self.call.id} at {self.target}>"
