"""The rounds of attempts of one call: choose, open, call the gates, exchange, close, decide.

Chat, completion, embedding and stream runs share this loop; they differ only in the exchange. The core manages
everything that must be right even if plugins fail: counts, deferred functions, budget, deadline.
"""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from localagent.calls.candidates import Candidates, check_refusal
from localagent.calls.repetition import without_repetition
from localagent.calls.retry_budget import Draws
from localagent.errors import InternalError, LocalAgentError
from localagent.pipeline.dispatch import first, notify, pipe
from localagent.pipeline.guard import failure_of
from localagent.records.attempt import Attempt, Continue, GiveUp, Outcome, Refused, Retry, Status
from localagent.records.instances import Target
from localagent.records.responses import Usage
from localagent.timing.phases import PhaseTimer
from localagent.timing.timer import NEVER

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.instances.configured_provider import ConfiguredProvider
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.records.transport import Transport

log = logging.getLogger("localagent")

T = TypeVar("T")
SHORTEST_SHARE = 1.0
"""The minimum of seconds that an attempt may take, even if little time is left for the others."""

Exchange = Callable[[Attempt, "ConfiguredProvider", "Transport"], Awaitable[T]]


class Attempts:
    """The attempts of one call.

    Args:
        engine: The engine that runs the client's calls.
        call: The call, after ``pre_request``.
    """

    __slots__ = ("_call", "_candidates", "_draws", "_engine", "_fleet", "_has_gates", "_prepared", "_tried")

    def __init__(self, engine: CallEngine, call: Call) -> None:
        self._engine = engine
        self._fleet = engine.fleet
        self._call = call
        self._candidates = Candidates(engine, call)
        self._has_gates = bool(call.plan.prepare_attempt or call.plan.rate_check)
        self._prepared: dict[Target, Request] = {}
        self._tried = 0
        self._draws: Draws | None = None  # made with the first failure: most calls have none

    async def run(self, exchange: Exchange[T]) -> tuple[Attempt, T]:
        """Make attempts until an exchange succeeds; return that attempt, which is still open, and its result.

        Raises:
            LocalAgentError: The error that ended the call.
        """
        try:
            while True:
                attempt = await self._admit()
                if self._draws is not None:
                    self._draws.sent()
                try:
                    return attempt, await self._exchange(attempt, exchange)
                except LocalAgentError as error:
                    await self._fail(attempt, error)
                except BaseException:
                    self.close(attempt, "cancelled")
                    raise
        finally:
            if self._draws is not None:
                self._draws.give_back()

    def close(
        self,
        attempt: Attempt,
        status: Status,
        error: LocalAgentError | None = None,
        usage: Usage | None = None,
        *,
        instance_at_fault: bool = True,
    ) -> None:
        """End an attempt: update counts, call ``after_attempt`` and the deferred functions. Idempotent.

        Args:
            attempt: The attempt.
            status: How it ended.
            error: The error that ended it, if any.
            usage: Token counts, if reported.
            instance_at_fault: Whether an error may count against the instance; False if nothing had been sent.
        """
        now = self._engine.clock()
        outcome = Outcome(status, error, usage, attempt.started, attempt.first, now)
        if not attempt.close(outcome):
            return
        state = attempt.state
        if attempt.number:
            if status == "ok":
                state.succeeded(now - attempt.started, now)
            elif error is not None:
                said = f"{error.message}{error.quotation}"
                state.failed(said, sick=instance_at_fault and error.advice.breaker == "failure", now=now)
                self._log(attempt, said)
            if self._call.plan.after_attempt:
                notify(self._call.plan.after_attempt, attempt, outcome)
        attempt.run_deferred()
        if state.draining:
            self._fleet.instances.settle(state)

    def _log(self, attempt: Attempt, said: str) -> None:
        """Log a failure, redacted because a provider may have left its key in the message."""
        if not log.isEnabledFor(logging.INFO):
            return
        from localagent.http_answers.redaction import redact

        where = {"request_id": self._call.id}
        log.info("Attempt %d at %s failed: %s", attempt.number, attempt.target, redact(said), extra=where)

    async def _admit(self) -> Attempt:
        """Return an attempt that all gates have admitted, counted as sent."""
        while True:
            chosen = self._candidates.choose()
            if chosen.__class__ is tuple and not self._has_gates:
                return self._counted(self._opened(chosen[0]))
            result = [chosen] if isinstance(chosen, Refused) else await self._ask_in_turn(chosen)
            if isinstance(result, Attempt):
                return result
            if result:
                await self._wait_for(result)

    async def _ask_in_turn(self, candidates: tuple[Target, ...]) -> Attempt | list[Refused]:
        """Open an attempt for one candidate after another, until the gates admit one; return it, or all refusals.

        An empty list means that a step failed and a new round must start.
        """
        refusals: list[Refused] = []
        for target in candidates:
            if refusals and not self._fleet.instances.serves(target.instance):
                continue  # it was removed while the gates of another candidate were called
            attempt = self._opened(target)
            try:
                refused = await self._ask_gates(attempt)
            except LocalAgentError as error:
                await self._fail(attempt, error)
                return []
            if refused is None:
                attempt.sent = self._engine.clock()
                return self._counted(attempt)
            self._call.refused_target = target
            refusals.append(refused)
        return refusals

    def _opened(self, target: Target) -> Attempt:
        """Open an attempt. There is no await between choice and count, so the next call that chooses sees the count."""
        state = self._fleet.instances.state(target.instance)
        return Attempt(self._call, target, state, self._call.request, self._engine.clock())

    async def _ask_gates(self, attempt: Attempt) -> Refused | None:
        """Adapt the request to the target and call the gates; return the refusal, or None if all gates admit it."""
        call, plan = self._call, self._call.plan
        try:
            if plan.prepare_attempt:
                attempt.request = await self._prepare(attempt)
            if plan.rate_check:
                refused, step = await first(plan.rate_check, call.timer, attempt)
                if refused is not None:
                    check_refusal(refused, step)
                    self.close(attempt, "refused", refused.error)
                    return refused  # type: ignore[no-any-return]
        except BaseException as error:
            if not isinstance(error, LocalAgentError):
                self.close(attempt, "cancelled")
            raise
        return None

    async def _prepare(self, attempt: Attempt) -> Request:
        """Return the request adapted to the attempt's target; the steps are called once for each target."""
        target, call = attempt.target, self._call
        if target not in self._prepared:
            self._prepared[target] = await pipe(call.plan.prepare_attempt, call.timer, attempt, call.request)
        return self._prepared[target]

    def _counted(self, attempt: Attempt) -> Attempt:
        self._tried += 1
        attempt.number = self._tried
        attempt.state.attempts += 1
        self._call.attempts.append(attempt)
        return attempt

    async def _exchange(self, attempt: Attempt, exchange: Exchange[T]) -> T:
        call = self._call
        timer = call.timer
        instance = attempt.target.instance
        provider = self._fleet.registry.providers[instance.provider]
        attempt.phases = phases = PhaseTimer(timer, provider.common.timeouts, instance.id, streamed=call.stream)
        attempt.error_rules = provider.type.error_rules
        last = self._candidates.last_error
        phases.fresh = last is not None and last.advice.stale
        timer.deadline_only()
        several = len(call.candidates) > 1
        if several:
            timer.leave_time(self._share(attempt), phases)
        try:
            if not provider.opened:
                phases.enter("load")
                await provider.open()
                timer.deadline_only()
            transport = attempt.state.transport
            if transport is None:
                transport = await self._fleet.connections.to(instance)
            phases.phase = "first_token"  # unless the transport reports another phase: data may have been sent
            return await exchange(attempt, provider, transport)
        except BaseException as error:  # the provider's and the transport's code
            failure = failure_of(error, timer, f"Provider {instance.provider}")
            if failure is None or failure is error:
                raise
            raise failure from failure.__cause__
        finally:
            if several:
                timer.leave_time(NEVER, phases)

    def _share(self, attempt: Attempt) -> float:
        """Return the seconds that an attempt may take: half of the remaining time while other targets remain.

        It is half for any number of targets, so a slow target that works is not cut off early because it has many
        replicas.
        """
        call = self._call
        repeatable = call.plan.on_failure and self._tried < self._engine.max_attempts
        if not repeatable or not self._candidates.others_than(attempt.target):
            return NEVER
        return max(call.timer.left / 2, SHORTEST_SHARE)

    async def _fail(self, attempt: Attempt, error: LocalAgentError) -> None:
        """Close a failed attempt; return if another attempt follows, otherwise raise the error that ends the call."""
        call, timer = self._call, self._call.timer
        sent = bool(attempt.number)
        if not sent:
            self._counted(attempt)
        complete(error, attempt)
        await without_repetition(error, attempt.request)
        self.close(attempt, "failed", error, instance_at_fault=sent)
        if timer.expired or not call.plan.on_failure:
            raise error
        verdict, step = await first(call.plan.on_failure, timer, attempt, error)
        if isinstance(verdict, GiveUp) and verdict.error is not None:
            raise verdict.error from error
        if isinstance(verdict, Continue):
            raise InternalError(f"Plugin {step.plugin if step else '?'} asked for a continuation, which this version "
                                "does not support.") from error  # fmt: skip
        if not isinstance(verdict, Retry):
            raise error
        self._candidates.prefer(verdict, attempt.target)
        if not self._may_retry(attempt, error, verdict.after):
            raise error
        self._candidates.last_error = error
        self._candidates.failed |= {attempt.target}
        if verdict.after > 0:
            await self._sleep(verdict.after)

    def _may_retry(self, attempt: Attempt, error: LocalAgentError, after: float) -> bool:
        """Return whether to retry. The budget is checked last, so it is not charged for other forbidden retries."""
        if self._tried >= self._engine.max_attempts or after >= self._call.timer.left:
            return False
        self._draws = self._draws or Draws(self._engine.budget, self._engine.clock)
        return self._candidates.any_left() and self._draws.allow(error, attempt.target)

    async def _wait_for(self, refusals: list[Refused]) -> None:
        """Wait for the earliest refusal to expire; raise its error if the deadline comes first."""
        timed = [(refused.retry_after, refused.error) for refused in refusals if refused.retry_after is not None]
        if not timed:
            raise refusals[0].error
        seconds, error = min(timed, key=operator.itemgetter(0))
        if seconds >= self._call.timer.left:
            error.retry_after = seconds if error.retry_after is None else error.retry_after
            raise error
        await self._sleep(max(seconds, 0.001))

    async def _sleep(self, seconds: float) -> None:
        self._call.timer.deadline_only()
        await asyncio.sleep(seconds)


def complete(error: LocalAgentError, attempt: Attempt) -> None:
    """Add provider, target, call id and attempt number to an error."""
    error.provider = error.provider or attempt.target.instance.provider
    error.target = error.target or str(attempt.target)
    error.request_id = attempt.call.id
    error.attempts = attempt.number
