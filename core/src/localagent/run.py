"""The run of one call that is not streamed, from pre_request to record_metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from localagent.attempts import Attempts, complete
from localagent.cache_keys import cache_keys
from localagent.caching import CacheEntry, may_share, may_store, sample_of
from localagent.errors import InternalError, LocalAgentError, NotCached
from localagent.guard import failure_of
from localagent.metric import Metric, MetricStatus
from localagent.plan import first, gate_now, notify, notify_all, pipe
from localagent.receipt import AttemptRecord, Receipt
from localagent.responses import Response, Usage
from localagent.timer import NEVER, Timer

if TYPE_CHECKING:
    from localagent.attempt import Attempt
    from localagent.call import Call
    from localagent.plan import Step
    from localagent.runtime import Runtime
    from localagent.transport import Transport

LOOKED_UP = 3
"""Targets of an alias for which caches are asked, from the first; the answer is kept for whichever answers."""


async def answer(core: Runtime, call: Call) -> Response:
    """Run a call and return its answer.

    Raises:
        LocalAgentError: What ended the call.
    """
    timer = call.timer
    timer.enter()
    core.calls.add(call)
    try:
        response = await _answer(core, call)
    except BaseException as error:  # a defect of anybody's is typed, too, and leaves nothing behind
        failure = failure_of(error, timer)
        finish(core, call, failure, cancelled=failure is None)
        if failure is None or failure is error:
            raise
        raise failure from failure.__cause__
    finish(core, call, None, response.usage)
    if call.records is not None:
        response = msgspec.structs.replace(response, receipt=receipt(core, call))
    return response


async def _answer(core: Runtime, call: Call) -> Response:
    plan = call.plan
    if plan.pre_request:
        call.request = await pipe(plan.pre_request, call.timer, call, call.request)
    if plan.cache_lookup or plan.cache_store or core.flights or call.cache.only:
        entry = await lookup(core, call)
        if entry is not None:
            return entry.response
        if core.flights and may_join(call):
            return await core.flights.answer(call)
    attempt, response = await fresh(core, call)
    if call.keys:
        entry = entry_of(core, call, attempt, response)
        if entry is not None:
            store(core, call, entry, plan.cache_store)
    return response


async def fresh(core: Runtime, call: Call) -> tuple[Attempt, Response]:
    """Have a model answer; return the attempt, which is closed, and the answer."""
    attempts = Attempts(core, call)
    core.budget.deposit()
    attempt, response = await attempts.run(core.exchange)
    attempts.close(attempt, "ok", usage=response.usage)
    return attempt, response


async def exchange(core: Runtime, attempt: Attempt, transport: Transport) -> Response:
    """Have the provider answer, and the steps look at the answer."""
    call = attempt.call
    source = core.provider_of(attempt.target.instance)
    response: Response = await getattr(source.provider, call.operation)(attempt, transport)
    if not isinstance(response, Response):
        raise InternalError(f"Provider {source.name} returned {type(response).__name__}, which is no Response.")
    if call.plan.check_answer:
        objection = gate_now(call.plan.check_answer, attempt, response)
        if objection is not None:
            raise objection
    return response


async def lookup(core: Runtime, call: Call) -> CacheEntry | None:
    """Ask the caches, if the call may be shared; its keys are made here and nowhere else.

    Raises:
        NotCached: No cache answers, and the call allows nothing else.
    """
    policy, steps = call.cache, call.plan.cache_lookup
    if (policy.lookup or policy.store) and may_share(call.request, core.settings.sharing.policy):
        sample = sample_of(call.request, policy.sample, core.settings.sharing.samples, core.random)
        call.keys = cache_keys(call.request, core.targets(call), call.principal.tenant, sample=sample)
    if call.keys and policy.lookup and steps:
        keys = call.keys[:LOOKED_UP]
        entry, step = await first(steps, call.timer, call, keys)
        if entry is not None and step is not None:
            try:
                if entry.key in keys and _young(core, call, entry):
                    return _hit(core, call, entry, step)
            except Exception as error:  # the plugin's entry: its fields may hold anything
                raise step.blame(error) from error
    if policy.only:
        raise NotCached("No cache has an answer, and the request allows nothing else.")
    return None


def _hit(core: Runtime, call: Call, entry: CacheEntry, step: Step) -> CacheEntry:
    """Return a call's own view of an entry; the caches that were asked before the one that had it are told of it."""
    call.cached = step.plugin
    call.hit = entry
    call.facts["age"] = age = max(0.0, core.wall() - entry.stored)
    asked = call.plan.cache_lookup
    if asked[0] is not step and call.cache.store:
        earlier = {one.plugin for one in asked[: asked.index(step)]}
        steps = tuple(one for one in call.plan.cache_store if one.plugin in earlier)
        store(core, call, msgspec.structs.replace(entry, source=call.cached), steps)
    found = entry.response
    response = msgspec.structs.replace(found, cached=call.cached, request_id=call.id, facts=dict(found.facts), age=age)
    return CacheEntry(entry.key, response, entry.events, entry.stored, call.cached, entry.seconds)


def _young(core: Runtime, call: Call, entry: CacheEntry) -> bool:
    return call.cache.max_age is None or core.wall() - entry.stored <= call.cache.max_age


def may_join(call: Call) -> bool:
    """Whether a call may share a flight: it may be shared, and its policy lets others' answers in and its own out."""
    return bool(call.keys) and call.cache.lookup and call.cache.store


def entry_of(
    core: Runtime, call: Call, attempt: Attempt, response: Response, events: tuple[bytes, ...] | None = None
) -> CacheEntry | None:
    """Return a fresh answer as caches keep it, under the key of the target that answered; None for what is not kept."""
    if not (call.plan.cache_store and call.cache.store and may_store(response)):  # type: ignore[arg-type]
        return None
    key = next((key for key in call.keys if key.model == attempt.target.name), None)
    if key is None:
        return None
    kept = msgspec.structs.replace(response, facts=dict(response.facts))  # the user's own may be written to
    return CacheEntry(key, kept, events, core.wall(), seconds=core.clock() - call.started)  # type: ignore[arg-type]


def store(core: Runtime, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
    """Hand an entry to caches; behind the answer where that waits."""
    if not keep_now(call, entry, steps):
        core.spawn(offer(core, call, entry, steps), "cache_store")


def keep_now(call: Call, entry: CacheEntry, steps: Sequence[Step]) -> bool:
    """Hand an entry to caches if none of them waits, which costs less than another turn of the loop; say whether."""
    if any(step.awaits for step in steps):
        return False
    notify(steps, call, entry)
    return True


async def offer(core: Runtime, call: Call, entry: CacheEntry, steps: Sequence[Step]) -> None:
    """Hand an entry to caches, and wait for them."""
    timer = Timer(core.loop, NEVER, core.wheel)
    timer.enter()
    try:
        await notify_all(steps, timer, call, entry)
    finally:
        timer.close()


def finish(
    core: Runtime, call: Call, error: LocalAgentError | None, usage: Usage | None = None, *, cancelled: bool = False
) -> None:
    """End a call: disarm its timer, record its metric, write the call's id into the error."""
    call.timer.close()
    core.calls.discard(call)
    if error is not None:
        if call.attempts:
            complete(error, call.attempts[-1])
        error.request_id = call.id
        error.attempts = len(call.attempts)
        if call.records is not None:
            error.receipt = receipt(core, call)
    if call.plan.record_metric:
        notify(call.plan.record_metric, call, metric_of(core, call, error, usage, cancelled=cancelled))
    if call.records is None:
        call.attempts.clear()  # each names the call: the cycle would be left to the garbage collector


def metric_of(
    core: Runtime, call: Call, error: LocalAgentError | None, usage: Usage | None, *, cancelled: bool
) -> Metric:
    """Return the metric of a call that has ended."""
    last = call.attempts[-1] if call.attempts else None
    status: MetricStatus = "ok"
    if cancelled:
        status = "cancelled"
    elif error is not None:
        status = "failed" if last is not None else "refused"
    seconds, hit = core.clock() - call.started, call.hit
    model = last.target.name if last else "" if hit is None else hit.key.model
    return Metric(
        call.operation,
        status,
        model,
        last.target.instance.id if last else "",
        seconds,
        max(0.0, last.first - call.started) if last and last.first is not None else None,
        0 if call.coalesced else len(call.attempts),
        usage,
        call.cached,
        call.coalesced,
        error.code if error else "",
        call.id,
        call.parent.id if call.parent else "",
        call.principal.tenant,
        0.0 if hit is None else max(0.0, hit.seconds - seconds),
    )


def receipt(core: Runtime, call: Call) -> Receipt:
    """Return the receipt of a call that recorded its steps."""
    return Receipt(
        call=call.id,
        steps=tuple(call.records or ()),
        attempts=tuple(_attempt_record(attempt) for attempt in call.attempts),
        milliseconds=(core.clock() - call.started) * 1000,
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
