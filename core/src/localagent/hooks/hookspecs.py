"""The hooks, in the order of a request's life. Each docstring is its hook's contract.

Later versions may add arguments, but never remove one or change its meaning. An implementation takes the arguments that
it needs, by name.
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
    """Return the provider types that this plugin brings.

    When: once, when the pipeline starts, before any provider is made.
    Result: the types. A type implements one wire protocol; providers in the settings refer to it by its name.
    None: the plugin brings none.
    Raise: refused at start, with the plugin's name.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Transport,))
async def connect(instance: Instance) -> Transport | None:
    """Return the transport of an instance.

    When: before the first attempt at the instance. The result is kept; after a failure the hook is called again.
    Result: a transport; the core closes it with the instance.
    None: the next plugin is asked. If all return None, the first request ends with a ``PluginError`` that says what to
        install.
    Raise: ends the attempt.
    """


@hook(Kind.FIRST, phase="start", sync=True, scope="instance", on_raise=OnRaise.SKIP, result=(Tokenizer,))
def tokenize(target: Target) -> Tokenizer | None:
    """Return the tokenizer of a target.

    When: when tokens are counted for the target for the first time. The result is kept.
    Result: a tokenizer. The core keeps the count of each message, and counts long texts in a thread.
    None: the next plugin is asked.
    Raise: the plugin is skipped, counted and logged.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.SKIP, limit=30.0, result=(list, tuple))
async def list_models(instance: Instance) -> Sequence[ModelInfo] | None:
    """Return the models that an instance offers without asking the instance, as a catalogue does.

    When: whenever the list is needed.
    Result: the models.
    None: the next plugin is asked, and finally the instance itself.
    Raise: the plugin is skipped, counted and logged.
    """


@hook(Kind.NOTIFY, phase="start", sync=True, scope="instance", on_raise=OnRaise.ISOLATE)
def models_listed(instance: Instance, models: Sequence[ModelInfo]) -> None:
    """Observe the list of models that an instance itself returned.

    When: after the instance was asked; not after the answer of a catalogue.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.PIPE, phase="request", result=(Request,))
async def pre_request(call: Call, request: Request) -> Request | None:
    """Set defaults, check or authorise a request before anything is looked up or chosen.

    When: at the beginning of a call, once. Do not count tokens here.
    Result: the request to continue with, of the same class.
    None: unchanged.
    Raise: ends the call; raise a ``LocalAgentError`` to say why.
    """


@hook(Kind.FIRST, phase="cache", on_raise=OnRaise.SKIP, limit=1.0, result=(CacheEntry,))
async def cache_lookup(call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Answer from a cache.

    When: after ``pre_request``, for calls that may be shared and whose policy allows it. ``keys`` has one key for each
    target of the alias, in the alias's order.
    Result: an entry whose key equals one of ``keys``, including ``check`` and ``size``. It answers the call.
    None: a miss; the next cache is asked.
    Raise: counts as a miss.
    """


@hook(Kind.PIPE, phase="choice", sync=True, result=(tuple, Refused))
def select_instance(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | Refused | None:
    """Filter and order the candidate targets. A step reads counts and health, and changes nothing.

    When: before every round of attempts. ``candidates`` are in the user's order; those with an unhealthy instance come
        last.
    Result: the targets to try, best first; or Refused if none may be tried now.
    None: unchanged.
    Raise: ends the call.
    """


@hook(Kind.PIPE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Request,))
async def prepare_attempt(attempt: Attempt, request: Request) -> Request | None:
    """Fit the request to this target: its window, its options, its cache markers.

    When: after the attempt was opened and before the gates, once for each target of a call.
    Result: the request to send, of the same class.
    None: unchanged.
    Raise: ends the attempt; the failure steps are asked.
    """


@hook(Kind.GATE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, result=(Refused,))
async def rate_check(attempt: Attempt) -> Refused | None:
    """Admit the attempt, or refuse it.

    When: before the request is sent. The gates are asked until one refuses. A gate that takes something (a slot, a
    token) returns it with ``attempt.defer``, which it calls in the same statement and before it awaits.
    Result: Refused, with the error for the user and the seconds after which another try may succeed.
    None: admitted.
    Raise: ends the attempt; the failure steps are asked.
    """


@hook(Kind.FIRST, phase="attempt", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(float, int),
      pending="hedged attempts")  # fmt: skip
def hedge_after(attempt: Attempt) -> float | None:
    """Return after how many seconds without content a second attempt at another target starts.

    When: after the gates admitted the attempt.
    Result: seconds.
    None: the next plugin is asked. If all return None, the attempt runs alone.
    Raise: ends the attempt.
    """


@hook(Kind.GATE, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(LocalAgentError,))
def check_answer(attempt: Attempt, response: Response) -> LocalAgentError | None:
    """Check a complete answer before it is accepted.

    When: after an answer that was not streamed. The steps are asked until one objects.
    Result: the error with which the attempt fails; its advice decides about retries.
    None: no objection.
    Raise: ends the attempt.
    """


@hook(Kind.NOTIFY, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ISOLATE)
def after_attempt(attempt: Attempt, outcome: Outcome) -> None:
    """Observe how an attempt ended.

    When: at the end of every attempt that was sent (for a stream: its last byte), before its deferred functions.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.FIRST, phase="failure", scope="attempt", result=(Retry, Continue, GiveUp))
async def on_failure(attempt: Attempt, error: LocalAgentError) -> Retry | Continue | GiveUp | None:
    """Decide what follows from a failed attempt.

    When: after every attempt that ended with an error; not after refusals, a cancellation or the call's deadline, and
    not after the first content of a stream went to its consumer.
    Result: Retry (the same target, the next one or a certain one, after a time), Continue, or GiveUp. The core makes a
    retry only if the budget, ``max_attempts`` and the deadline allow it; otherwise the retry costs no budget.
    None: the next plugin is asked. If all return None, the call ends with the error.
    Raise: ends the call.
    """


@hook(Kind.NOTIFY, phase="end", on_raise=OnRaise.ISOLATE, limit=30.0)
async def cache_store(call: Call, entry: CacheEntry) -> None:
    """Store an answer.

    When: after the caller has received a complete answer to a call that may be shared, also if a later cache had it
    (``entry.source`` names that cache). Not for errors, broken streams, or answers cut by length or by a filter.
    Result: none.
    Raise: isolated.
    """


@hook(Kind.CHAIN, phase="stream", sync=True, result=(StreamStep,))
def wrap_stream(call: Call) -> StreamStep | None:
    """Change a stream on its way to its consumer.

    When: at the commit point of a stream, once for each consumer.
    Result: a step: ``feed`` gets every chunk, ``end`` the reason of the end; see ``StreamStep``.
    None: this plugin does not change the stream.
    Raise: ends the call.
    """


@hook(Kind.NOTIFY, phase="end", sync=True, on_raise=OnRaise.ISOLATE)
def record_metric(call: Call, metric: Metric) -> None:
    """Observe every operation once: answers, cache hits, refusals, errors and cancellations.

    When: at the end of the call, in the task that ends it.
    Result: none.
    Raise: isolated.
    """
