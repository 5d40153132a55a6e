"""The rounds of attempts of one call: choose, open, ask the gates, exchange, close, decide.

Chat, completion, embedding and stream runs share this loop; they differ in the exchange only. The core owns what must
be right whatever plugins do: counts, deferred functions, budget, deadline.
"""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from localagent.calls.repetition import without_repetition
from localagent.errors import InternalError, LocalAgentError, ModelNotFound
from localagent.pipeline.guard import exchange_failure
from localagent.pipeline.plan import Step, first, notify, pipe, tell
from localagent.records.attempt import Attempt, Continue, GiveUp, Outcome, Refused, Retry, Status
from localagent.records.instances import Target
from localagent.records.responses import Usage
from localagent.timing.timer import NEVER, Watch

if TYPE_CHECKING:
    from localagent.instances.registry import Source
    from localagent.records.call import Call
    from localagent.records.requests import Request
    from localagent.records.transport import Transport
    from localagent.runtime import Runtime

log = logging.getLogger("localagent")

T = TypeVar("T")
SHORTEST_SHARE = 1.0
"""Seconds that an attempt may take, however little is left for the others."""

Exchange = Callable[[Attempt, "Source", "Transport"], Awaitable[T]]


class Attempts:
    """The attempts of one call.

    Args:
        core: The running core.
        call: The call; its request has left pre_request.
    """

    __slots__ = ("_call", "_core", "_drawn", "_failed", "_free", "_last", "_preferred", "_prepared", "_tried")

    def __init__(self, core: Runtime, call: Call) -> None:
        self._core = core
        self._call = call
        self._failed: set[Target] = set()
        self._free: set[Target] = set()
        self._prepared: dict[Target, Request] = {}
        self._preferred: Target | None = None
        self._last: LocalAgentError | None = None
        self._tried = 0
        self._drawn: float | None = None  # when a repeat was drawn from the budget that was not sent yet

    async def run(self, exchange: Exchange[T]) -> tuple[Attempt, T]:
        """Try until an exchange succeeds; the attempt that it succeeded in is still open.

        Raises:
            LocalAgentError: What ended the call.
        """
        try:
            while True:
                attempt = await self._admit()
                self._drawn = None
                try:
                    return attempt, await self._exchange(attempt, exchange)
                except LocalAgentError as error:
                    await self._fail(attempt, error)
                except BaseException:
                    self.close(attempt, "cancelled")
                    raise
        finally:
            if self._drawn is not None:  # the repeat was never sent: the call was closed, cancelled, or refused
                self._core.budget.give_back(self._drawn)

    def close(
        self,
        attempt: Attempt,
        status: Status,
        error: LocalAgentError | None = None,
        usage: Usage | None = None,
        *,
        blame: bool = True,
    ) -> None:
        """End an attempt: counts, observers, deferred functions. Does nothing the second time.

        Args:
            attempt: The attempt.
            status: How it ended.
            error: What ended it, if an error did.
            usage: Tokens, when reported.
            blame: Whether an error may speak of the instance; not when it came before anything was sent.
        """
        core = self._core
        now = core.clock()
        outcome = Outcome(status, error, usage, attempt.started, attempt.first, now)
        if not attempt.close(outcome):
            return
        state = attempt.state
        if attempt.number:
            if status == "ok":
                state.succeeded(now - attempt.started, now)
            elif error is not None:
                said = f"{error.message}{error.quotation}"
                state.failed(said, sick=blame and error.advice.breaker == "failure", now=now)
                if log.isEnabledFor(logging.INFO):
                    self._log(attempt, said)
            if self._call.plan.after_attempt:
                notify(self._call.plan.after_attempt, attempt, outcome)
        attempt.run_deferred()
        if state.draining:
            core.instances.settle(state)

    def _log(self, attempt: Attempt, said: str) -> None:
        """Log a failure; the sentence may be that of a provider which forgot to hide its key."""
        from localagent.http_answers.redaction import redact

        where = {"request_id": self._call.id}
        log.info("Attempt %d at %s failed: %s", attempt.number, attempt.target, redact(said), extra=where)

    async def _admit(self) -> Attempt:
        plan = self._call.plan
        while True:
            refusals: list[Refused] = []
            chosen = self._choose()
            if isinstance(chosen, Refused):
                refusals, chosen = [chosen], ()
            for target in chosen:
                if refusals and not self._core.instances.serves(target.instance):
                    continue  # it went away while another candidate's gates were asked
                # No await between the choice and this count: the next chooser must see it.
                state = self._core.state(target.instance)
                attempt = Attempt(self._call, target, state, self._call.request, self._core.clock())
                if not (plan.prepare_attempt or plan.rate_check):
                    self._count(attempt)
                    return attempt
                refused = await self._ask_gates(attempt)
                if refused is None:
                    return attempt
                if not isinstance(refused, Refused):
                    break  # it failed, and is to be tried again
                refusals.append(refused)
            else:
                await self._wait_for(refusals)

    def _choose(self) -> tuple[Target, ...] | Refused:
        call = self._call
        candidates = self._candidates()
        if call.plan.select_instance:
            chosen = _select(call, candidates)
            if isinstance(chosen, Refused):
                return chosen
            candidates = chosen
        preferred = self._preferred
        if preferred is not None and self._core.instances.serves(preferred.instance):
            candidates = (preferred, *(target for target in candidates if target != preferred))
        call.candidates = candidates
        if not candidates:
            raise self._last or ModelNotFound("No instance is left that could answer.", mend="See: localagent doctor")
        return candidates

    def _candidates(self) -> tuple[Target, ...]:
        """Return what could answer now, without the targets that failed in this call unless none is left.

        Targets whose instance is known as unhealthy come last.
        """
        try:
            candidates = self._core.targets(self._call)
        except ModelNotFound as error:
            raise self._last or error from None  # all instances went away after the first attempt
        if len(candidates) > 1:
            candidates = self._core.health.order(candidates)
        if not self._failed:
            return candidates
        return tuple(target for target in candidates if target not in self._failed) or candidates

    async def _ask_gates(self, attempt: Attempt) -> Refused | LocalAgentError | None:
        """Return None when admitted, the refusal, or the error that failed the attempt and was already dealt with."""
        call, plan = self._call, self._call.plan
        try:
            if plan.prepare_attempt:
                attempt.request = await self._prepare(attempt)
            if plan.rate_check:
                refused, step = await first(plan.rate_check, call.timer, attempt)
                if refused is not None:
                    _check_refusal(refused, step)
                    self.close(attempt, "refused", refused.error)
                    return refused  # type: ignore[no-any-return]
        except LocalAgentError as error:
            await self._fail(attempt, error)
            return error
        except BaseException:
            self.close(attempt, "cancelled")
            raise
        self._count(attempt)
        return None

    async def _prepare(self, attempt: Attempt) -> Request:
        """Return the request as it is fitted to the attempt's target; the steps are asked once for each target."""
        target, call = attempt.target, self._call
        if target not in self._prepared:
            self._prepared[target] = await pipe(call.plan.prepare_attempt, call.timer, attempt, call.request)
        return self._prepared[target]

    def _count(self, attempt: Attempt) -> None:
        self._tried += 1
        attempt.number = self._tried
        attempt.state.attempts += 1
        self._call.attempts.append(attempt)

    async def _exchange(self, attempt: Attempt, exchange: Exchange[T]) -> T:
        call, core = self._call, self._core
        timer = call.timer
        source = core.provider_of(attempt.target.instance)
        attempt.clocks = clocks = Watch(timer, source.common.clocks, streamed=call.stream)
        attempt.error_rules = source.type.error_rules
        clocks.fresh = self._last is not None and self._last.advice.stale
        timer.deadline_only()
        several = len(call.candidates) > 1
        if several:
            timer.leave_time(self._share(attempt))
        try:
            if not source.opened:
                clocks.enter("load")
                await source.open()
                timer.deadline_only()
            transport = attempt.state.transport
            if transport is None:
                transport = await core.connect(attempt.target.instance)
            clocks.phase = "ttft"  # unless a transport says otherwise: something may have been sent
            return await exchange(attempt, source, transport)
        except BaseException as error:  # the provider's and the transport's code
            failure = exchange_failure(error, attempt)
            if failure is None or failure is error:
                raise
            raise failure from failure.__cause__
        finally:
            if several:
                timer.leave_time(NEVER)

    def _share(self, attempt: Attempt) -> float:
        """Return the seconds that an attempt may take: half of what is left, while others are left to be tried.

        Half, whatever their number, so that a target that is slow but works is not cut early because it has many
        replicas.
        """
        core, call = self._core, self._call
        if not call.plan.on_failure or self._tried >= core.settings.max_attempts:
            return NEVER
        if all(target in self._failed or target == attempt.target for target in call.candidates):
            return NEVER
        return max(call.timer.left / 2, SHORTEST_SHARE)

    async def _fail(self, attempt: Attempt, error: LocalAgentError) -> None:
        """Close a failed attempt and do what follows: return to try again, or raise what ends the call."""
        call, timer = self._call, self._call.timer
        sent = bool(attempt.number)
        if not sent:
            self._count(attempt)
        complete(error, attempt)
        await without_repetition(error, attempt.request)
        self.close(attempt, "failed", error, blame=sent)
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
        self._preferred = _where(verdict, attempt)
        if not self._may_retry(attempt, error, verdict.after):
            raise error
        self._last = error
        self._failed.add(attempt.target)
        if verdict.after > 0:
            await self._sleep(verdict.after)

    def _may_retry(self, attempt: Attempt, error: LocalAgentError, after: float) -> bool:
        """Say whether a repeat is made. The budget comes last: nothing is drawn for what something else forbids."""
        if self._tried >= self._core.settings.max_attempts or after >= self._call.timer.left or not self._has_target():
            return False
        if self._drawn is not None:
            return True  # the repeat before this one was drawn and failed before it was sent
        if not error.advice.sent and attempt.target not in self._free:
            self._free.add(attempt.target)
            return True
        if not self._core.budget.draw():
            return False
        self._drawn = self._core.clock()
        return True

    def _has_target(self) -> bool:
        """Say whether a target is left for a repeat."""
        if self._preferred is not None and self._core.instances.serves(self._preferred.instance):
            return True
        try:
            return bool(self._core.targets(self._call))
        except ModelNotFound:
            return False

    async def _wait_for(self, refusals: list[Refused]) -> None:
        """Wait until a refusal's time has come; raise its error when there is no time for it."""
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


def _select(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | Refused:
    for step in call.plan.select_instance:
        chosen = tell(step, call, candidates)
        if isinstance(chosen, Refused):
            _check_refusal(chosen, step)
            return chosen
        if chosen is not None:
            candidates = chosen
    return candidates


def _check_refusal(refused: Refused, step: Step | None) -> None:
    if refused.ticket is not None:
        name = step.plugin if step else "?"
        raise InternalError(f"Plugin {name} gave a ticket, which this version does not support.")


def _where(verdict: Retry, attempt: Attempt) -> Target | None:
    if verdict.where == "same":
        return attempt.target
    return verdict.where if isinstance(verdict.where, Target) else None


def complete(error: LocalAgentError, attempt: Attempt) -> None:
    """Write into an error where it happened."""
    error.provider = error.provider or attempt.target.instance.provider
    error.target = error.target or str(attempt.target)
    error.request_id = attempt.call.id
    error.attempts = attempt.number
