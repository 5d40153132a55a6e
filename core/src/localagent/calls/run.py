"""Runs one call that is not streamed, from ``pre_request`` to ``record_metric``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from localagent.calls.attempts import Attempts, complete
from localagent.errors import InternalError, LocalAgentError
from localagent.pipeline.dispatch import first_now, notify, pipe
from localagent.pipeline.guard import failure_of
from localagent.records.reports import metric_of, receipt_of
from localagent.records.responses import Response, Usage
from localagent.sharing.caches import may_join

if TYPE_CHECKING:
    from localagent.calls.engine import CallEngine
    from localagent.instances.configured_provider import ConfiguredProvider
    from localagent.records.attempt import Attempt
    from localagent.records.call import Call
    from localagent.records.transport import Transport


async def answer(engine: CallEngine, call: Call) -> Response:
    """Run a call and return its answer.

    Raises:
        LocalAgentError: The error that ended the call.
    """
    timer = call.timer
    timer.enter()
    engine.calls.add(call)
    try:
        response = await _answer(engine, call)
    except BaseException as error:  # an unexpected exception also becomes a typed error, and everything is cleaned up
        failure = failure_of(error, timer)
        finish(engine, call, failure, cancelled=failure is None)
        if failure is None or failure is error:
            raise
        raise failure from failure.__cause__
    finish(engine, call, None, response.usage)
    plain = not call.plan.cache_lookup or call.cached
    if plain and len(call.facts) <= bool(call.cached) and call.records is None:  # a hit leaves the fact ``age``
        return response
    return _annotated(engine, call, response)


def _annotated(engine: CallEngine, call: Call, response: Response) -> Response:
    """Return the answer with facts about its call: why no cache answered, public facts, the receipt."""
    changes: dict[str, Any] = {}
    if forwarded := call.forwarded:
        changes["forwarded"] = forwarded
    if public := call.public_facts:
        changes["facts"] = public | response.facts
    if call.records is not None:
        changes["receipt"] = receipt_of(call, engine.clock())
    return msgspec.structs.replace(response, **changes) if changes else response


async def _answer(engine: CallEngine, call: Call) -> Response:
    plan = call.plan
    if plan.pre_request:
        call.request = await pipe(plan.pre_request, call.timer, call, call.request)
    if plan.cache_lookup or plan.cache_store or engine.flights or call.cache.only:
        entry = await engine.caches.lookup(call)
        if entry is not None:
            return entry.response
        if engine.flights and may_join(call):
            return await engine.flights.answer(call)
    attempt, response = await fresh(engine, call)
    if call.keys:
        entry = engine.caches.entry_of(call, attempt, response)
        if entry is not None:
            engine.caches.store(call, entry, plan.cache_store)
    return response


async def fresh(engine: CallEngine, call: Call) -> tuple[Attempt, Response]:
    """Get an answer from a model; return the attempt, which is closed, and the answer."""
    attempts = Attempts(engine, call)
    engine.budget.deposit()
    attempt, response = await attempts.run(exchange)
    attempts.close(attempt, "ok", usage=response.usage)
    return attempt, response


async def exchange(attempt: Attempt, provider: ConfiguredProvider, transport: Transport) -> Response:
    """Get an answer from the provider, and let the ``check_answer`` steps check it."""
    call = attempt.call
    response: Response = await getattr(provider.provider, call.operation)(attempt, transport)
    if not isinstance(response, Response):
        raise InternalError(f"Provider {provider.name} returned {type(response).__name__}; expected a Response.")
    if call.plan.check_answer:
        objection = first_now(call.plan.check_answer, attempt, response)
        if objection is not None:
            raise objection
    return response


def finish(
    engine: CallEngine,
    call: Call,
    error: LocalAgentError | None,
    usage: Usage | None = None,
    *,
    cancelled: bool = False,
) -> None:
    """End a call: close its timer, record its metric, add the call's id to the error."""
    call.timer.close()
    engine.calls.discard(call)
    if error is not None:
        if call.attempts:
            complete(error, call.attempts[-1])
        error.request_id = call.id
        error.attempts = len(call.attempts)
        if call.records is not None:
            error.receipt = receipt_of(call, engine.clock())
    if call.plan.record_metric:
        metric = metric_of(call, error, usage, cancelled=cancelled, now=engine.clock())
        notify(call.plan.record_metric, call, metric)
    if call.records is None:
        call.attempts.clear()  # each refers to the call, and the garbage collector would have to break the cycle
