"""The hooks, in the order of a request's life. Each docstring is its hook's contract.

Arguments may be added in later versions, never removed or reread; an implementation takes those it needs, by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from localagent.errors import LocalAgentError
from localagent.plugin_api.kinds import Kind, OnRaise, hook
from localagent.plugin_api.providers import ProviderType
from localagent.plugin_api.tokenizer import Tokenizer
from localagent.records.attempt import Attempt, Continue, GiveUp, Outcome, Refused, Retry
from localagent.records.caching import CacheEntry, CacheKey
from localagent.records.call import Call
from localagent.records.instances import Instance, Target
from localagent.records.reports import Metric
from localagent.records.requests import Request
from localagent.records.responses import ModelInfo, Response, StreamStep
from localagent.records.transport import Transport


@hook(Kind.COLLECT, phase="start", sync=True, scope="process", on_raise=OnRaise.REFUSE, result=(list, tuple))
def provide() -> Sequence[ProviderType]:  # type: ignore[empty-body]
    """Name the provider types that this plugin brings.

    When: once, when the pipeline starts, before any provider is made.
    Result: the types. Each speaks one wire protocol; providers in the settings use a type by its name.
    None: the plugin brings none.
    Raise: refused at start, with the plugin's name.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Transport,))
async def connect(instance: Instance) -> Transport | None:
    """Bring the transport of an instance.

    When: before the instance's first attempt; the result is remembered, a failure is not.
    Result: a transport; the core closes it with the instance.
    None: the next plugin is asked; if all say None, the provider's first request ends with a ``PluginError`` that says
        what to install.
    Raise: ends the attempt.
    """


@hook(Kind.FIRST, phase="start", sync=True, scope="instance", on_raise=OnRaise.SKIP, result=(Tokenizer,))
def tokenize(target: Target) -> Tokenizer | None:
    """Bring the tokenizer of a target.

    When: when tokens are counted for the target for the first time; the result is remembered.
    Result: a tokenizer. The core keeps counts per message and leaves the event loop for long texts.
    None: the next plugin is asked.
    Raise: the plugin is skipped, counted and logged.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.SKIP, limit=30.0, result=(list, tuple))
async def list_models(instance: Instance) -> Sequence[ModelInfo] | None:
    """Answer which models an instance offers, without asking it: what a catalogue is for.

    When: whenever somebody wants the list.
    Result: the models.
    None: the next plugin, at last the instance itself, is asked.
    Raise: the plugin is skipped, counted and logged.
    """


@hook(Kind.NOTIFY, phase="start", sync=True, scope="instance", on_raise=OnRaise.ISOLATE)
def models_listed(instance: Instance, models: Sequence[ModelInfo]) -> None:
    """Hear every real answer of an instance about its models.

    When: after an instance itself was asked, never after a catalogue's answer.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.PIPE, phase="request", result=(Request,))
async def pre_request(call: Call, request: Request) -> Request | None:
    """Set defaults, guard, authorise: before anything is looked up or chosen.

    When: first of all, once a call. Nothing is counted here.
    Result: the request to go on with, of the same class.
    None: unchanged.
    Raise: ends the call; raise one of LocalAgent's errors to say why.
    """


@hook(Kind.FIRST, phase="cache", on_raise=OnRaise.SKIP, limit=1.0, result=(CacheEntry,))
async def cache_lookup(call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Answer from a cache.

    When: after pre_request, for calls that may be shared and whose policy allows it. ``keys`` holds one key for each
    target of the alias, in its order.
    Result: an entry whose key is one of ``keys``, ``check`` and ``size`` included. It ends the call at no cost.
    None: a miss; the next cache is asked.
    Raise: counts as a miss.
    """


@hook(Kind.PIPE, phase="choice", sync=True, result=(tuple, Refused))
def select_instance(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | Refused | None:
    """Narrow and order the candidate targets. Reads counts and health, takes nothing.

    When: before every round of attempts. ``candidates`` are in the user's order, those behind the others whose
        instance is known as unhealthy.
    Result: the targets to try, best first; or Refused, when none may be tried now.
    None: unchanged.
    Raise: ends the call.
    """


@hook(Kind.PIPE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Request,))
async def prepare_attempt(attempt: Attempt, request: Request) -> Request | None:
    """Fit the request to this target: its window, its options, its cache markers.

    When: after the attempt opened, before the gates; the result is kept per target and call.
    Result: the request that is sent, of the same class.
    None: unchanged.
    Raise: ends the attempt; the failure steps are asked.
    """


@hook(Kind.GATE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, result=(Refused,))
async def rate_check(attempt: Attempt) -> Refused | None:
    """Admit the attempt, or refuse it with a time.

    When: before the request is sent; every gate is asked until one refuses. What a gate takes it gives back in
    ``attempt.defer``, in the same statement; a gate that awaits hangs the giving back before it awaits.
    Result: Refused, with the error for the user and the seconds after which asking again may help.
    None: admitted.
    Raise: ends the attempt; the failure steps are asked.
    """


@hook(Kind.FIRST, phase="attempt", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(float, int),
      pending="hedged attempts")  # fmt: skip
def hedge_after(attempt: Attempt) -> float | None:
    """Say after how many seconds without content a second attempt shall open elsewhere.

    When: after the gates admitted the attempt.
    Result: seconds.
    None: the next plugin is asked; if all say None, the attempt runs alone.
    Raise: ends the attempt.
    """


@hook(Kind.GATE, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(LocalAgentError,))
def check_answer(attempt: Attempt, response: Response) -> LocalAgentError | None:
    """Look at a complete answer before it is accepted.

    When: after an answer that was not streamed; every step is asked until one objects.
    Result: the error that makes the attempt a failed one; its advice decides about retries.
    None: no objection.
    Raise: ends the attempt.
    """


@hook(Kind.NOTIFY, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ISOLATE)
def after_attempt(attempt: Attempt, outcome: Outcome) -> None:
    """Hear how an attempt ended.

    When: once for every attempt that was sent, at its end (a stream's last byte), before its deferred functions.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.FIRST, phase="failure", scope="attempt", result=(Retry, Continue, GiveUp))
async def on_failure(attempt: Attempt, error: LocalAgentError) -> Retry | Continue | GiveUp | None:
    """Decide what follows from a failed attempt.

    When: for every attempt that an error ended; never for refusals, cancellation, or the call's deadline, and never
    after a stream's first content was handed out.
    Result: Retry (same, next or a target, after a time), Continue, or GiveUp. The core counts: a retry that the
    budget, ``max_attempts`` or the deadline does not allow is not made, and one that is not made costs no budget.
    None: the next plugin is asked; if all say None, the call ends with the error.
    Raise: ends the call.
    """


@hook(Kind.NOTIFY, phase="end", on_raise=OnRaise.ISOLATE, limit=30.0)
async def cache_store(call: Call, entry: CacheEntry) -> None:
    """Keep an answer.

    When: after a complete answer to a call that may be shared was handed over, also one that a later cache had
    (``entry.source`` names it). Never for errors, cut streams, or answers that ended by length or a filter.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.CHAIN, phase="stream", sync=True, result=(StreamStep,))
def wrap_stream(call: Call) -> StreamStep | None:
    """Change a stream on its way to its consumer.

    When: at a stream's commit point, once a consumer.
    Result: a step; ``feed`` gets every chunk, ``end`` the reason; see ``StreamStep``.
    None: the stream is not changed by this plugin.
    Raise: ends the call.
    """


@hook(Kind.NOTIFY, phase="end", sync=True, on_raise=OnRaise.ISOLATE)
def record_metric(call: Call, metric: Metric) -> None:
    """Hear of every operation, once: answers, hits, refusals, errors and cancellations.

    When: at the end of the call, in the task that ends it.
    Result: none.
    Raise: isolated.
    """
