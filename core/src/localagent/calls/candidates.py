"""The targets of a call, round by round: candidates, failed targets, and the preferred target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localagent.errors import InternalError, LocalAgentError, ModelNotFound
from localagent.pipeline.steps import Step, ask_now
from localagent.records.attempt import Refused, Retry
from localagent.records.instances import Target

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.records.call import Call


class Candidates:
    """The candidates of one call.

    Args:
        engine: The engine that runs the client's calls.
        call: The call.

    Attributes:
        failed: The targets at which an attempt has failed.
        preferred: The target that the last retry decision named; it comes first.
        last_error: The error of the last attempt; raised if no target is left.
    """

    # Class attributes, because most calls never set them.
    failed: frozenset[Target] = frozenset()
    preferred: Target | None = None
    last_error: LocalAgentError | None = None

    def __init__(self, engine: CallEngine, call: Call) -> None:
        self._engine = engine
        self._call = call

    def choose(self) -> tuple[Target, ...] | Refused:
        """Return the targets to try in this round, in order, at least one; or a selection plugin's refusal.

        Raises:
            LocalAgentError: No target is left.
        """
        call = self._call
        candidates = self._known()
        if call.plan.select_instance:
            chosen = _select(call, candidates)
            if isinstance(chosen, Refused):
                return chosen
            candidates = chosen
        preferred = self.preferred
        if preferred is not None and self._engine.fleet.instances.serves(preferred.instance):
            candidates = (preferred, *(target for target in candidates if target != preferred))
        call.candidates = candidates
        if not candidates:
            raise self.last_error or ModelNotFound(
                "No instance is available for this request.", hint="See: localagent doctor"
            )
        return candidates

    def prefer(self, verdict: Retry, target: Target) -> None:
        """Put the target first that a retry decision names.

        Args:
            verdict: The retry decision.
            target: The target of the attempt that failed.
        """
        where = target if verdict.where == "same" else verdict.where
        self.preferred = where if isinstance(where, Target) else None

    def any_left(self) -> bool:
        """Whether a target is left for a retry."""
        if self.preferred is not None and self._engine.fleet.instances.serves(self.preferred.instance):
            return True
        try:
            return bool(self._engine.targets(self._call))
        except ModelNotFound:
            return False

    def others_than(self, target: Target) -> bool:
        """Whether this round has another target that has not failed."""
        return any(one not in self.failed and one != target for one in self._call.candidates)

    def _known(self) -> tuple[Target, ...]:
        """Return the available targets, without those that failed in this call unless all failed.

        Targets whose instance is known to be unhealthy come last.
        """
        try:
            candidates = self._engine.targets(self._call)
        except ModelNotFound as error:
            raise self.last_error or error from None  # all instances were removed after the first attempt
        if len(candidates) > 1:
            candidates = self._engine.fleet.health.order(candidates)
        if not self.failed:
            return candidates
        return tuple(target for target in candidates if target not in self.failed) or candidates


def _select(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | Refused:
    for step in call.plan.select_instance:
        chosen = ask_now(step, call, candidates)
        if isinstance(chosen, Refused):
            check_refusal(chosen, step)
            return chosen
        if chosen is not None:
            candidates = chosen
    return candidates


def check_refusal(refused: Refused, step: Step | None) -> None:
    """Check the refusal of a gate.

    Raises:
        InternalError: It has a ticket.
    """
    if refused.ticket is not None:
        name = step.plugin if step else "?"
        raise InternalError(f"Plugin {name} returned a ticket, which this version does not support.")
