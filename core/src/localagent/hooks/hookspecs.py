"""The hooks, in the order of a request's life. Each docstring is its hook's contract.

Later versions may add arguments to a hook, but never remove one or change its meaning. An implementation declares the
arguments that it needs, by name.
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
from localagent.records.stats import Sample
from localagent.records.transport import Transport


@hook(Kind.COLLECT, phase="start", sync=True, scope="process", on_raise=OnRaise.REFUSE, result=(list, tuple))
def provide() -> Sequence[ProviderType]:  # type: ignore[empty-body]
    """Return the provider types that this plugin brings.

    When: once, when the pipeline starts, before any provider is created.
    Result: the types. Each one implements a wire protocol; providers in the settings refer to a type by its name.
    None: the plugin brings no provider type.
    Raise: the client does not start; the error names the plugin.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Transport,))
async def connect(instance: Instance) -> Transport | None:
    """Return the transport for an instance.

    When: before the instance's first attempt. The result is kept; a failure is not.
    Result: a transport. The core closes it when the instance is removed or the client closes.
    None: the next plugin is called; if all return None, the provider's first request fails with a ``PluginError`` that
        names the package to install.
    Raise: the attempt fails.
    """


@hook(Kind.FIRST, phase="start", sync=True, scope="instance", on_raise=OnRaise.SKIP, result=(Tokenizer,))
def tokenize(target: Target) -> Tokenizer | None:
    """Return the tokenizer for a target.

    When: when tokens are counted for the target for the first time; the result is kept.
    Result: a tokenizer. The core counts long texts in a thread, outside the event loop.
    None: the next plugin is called.
    Raise: the plugin is skipped; the failure is counted and logged.
    """


@hook(Kind.FIRST, phase="start", scope="instance", on_raise=OnRaise.SKIP, limit=30.0, result=(list, tuple))
async def list_models(instance: Instance) -> Sequence[ModelInfo] | None:
    """Return the models of an instance without a request to it, for example from a catalogue.

    When: whenever a model list is requested.
    Result: the models.
    None: the next plugin is called; if all return None, the instance itself is queried.
    Raise: the plugin is skipped; the failure is counted and logged.
    """


@hook(Kind.NOTIFY, phase="start", sync=True, scope="instance", on_raise=OnRaise.ISOLATE)
def models_listed(instance: Instance, models: Sequence[ModelInfo]) -> None:
    """Observe each model list that an instance returns.

    When: after an instance itself has answered, never after an answer from a catalogue.
    Result: ignored.
    Raise: isolated: the failure is counted and logged.
    """


@hook(Kind.PIPE, phase="request", result=(Request,))
async def pre_request(call: Call, request: Request) -> Request | None:
    """Change, check or authorise a request before any lookup or selection.

    When: once per call, before all other hooks. Nothing is counted yet.
    Result: the request to continue with, of the same class.
    None: the request is unchanged.
    Raise: the call ends; raise a ``LocalAgentError`` to give the reason.
    """


@hook(Kind.FIRST, phase="cache", on_raise=OnRaise.SKIP, limit=1.0, result=(CacheEntry,))
async def cache_lookup(call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Return a stored answer.

    When: after ``pre_request``, for calls that may be shared and whose policy allows a lookup. ``keys`` has one key for
    each of the first targets of the alias, in its order.
    Result: an entry whose key equals one of ``keys``, ``check`` and ``size`` included. It answers the call, and no
    request is sent.
    None: a miss; the next cache is called.
    Raise: counts as a miss; the failure is counted and logged.
    """


@hook(Kind.PIPE, phase="choice", sync=True, result=(tuple, Refused))
def select_instance(call: Call, candidates: tuple[Target, ...]) -> tuple[Target, ...] | Refused | None:
    """Filter and sort the candidate targets. It may read counts and health, but must not acquire anything.

    When: before every round of attempts. ``candidates`` are in the user's order; targets whose instance is known to be
        unhealthy come last.
    Result: the targets to try, best first; or ``Refused`` if none may be tried now.
    None: the candidates are unchanged.
    Raise: the call ends.
    """


@hook(Kind.PIPE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, limit=30.0, result=(Request,))
async def prepare_attempt(attempt: Attempt, request: Request) -> Request | None:
    """Adapt the request to a target: its context window, options and cache markers.

    When: after the attempt opens, before ``rate_check``; once per target and call, the result is kept.
    Result: the request to send, of the same class.
    None: the request is unchanged.
    Raise: the attempt fails, and ``on_failure`` is called.
    """


@hook(Kind.GATE, phase="attempt", scope="attempt", on_raise=OnRaise.ATTEMPT, result=(Refused,))
async def rate_check(attempt: Attempt) -> Refused | None:
    """Admit an attempt, or refuse it for a number of seconds.

    When: before the request is sent; gates are called until one refuses. A gate that acquires something must register
    its release with ``attempt.defer`` immediately, before its next await.
    Result: ``Refused``, with the error for the user and the seconds after which a retry may succeed.
    None: the attempt is admitted.
    Raise: the attempt fails, and ``on_failure`` is called.
    """


@hook(Kind.FIRST, phase="attempt", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(float, int),
      pending="hedged attempts")  # fmt: skip
def hedge_after(attempt: Attempt) -> float | None:
    """Return after how many seconds without content a second attempt opens at another target.

    When: after all gates have admitted the attempt.
    Result: seconds.
    None: the next plugin is called; if all return None, there is no second attempt.
    Raise: the attempt fails.
    """


@hook(Kind.GATE, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ATTEMPT, result=(LocalAgentError,))
def check_answer(attempt: Attempt, response: Response) -> LocalAgentError | None:
    """Check a complete answer before it is accepted.

    When: after each answer that was not streamed; plugins are called until one returns an error.
    Result: the error with which the attempt fails; its ``advice`` decides about retries.
    None: the answer is accepted.
    Raise: the attempt fails.
    """


@hook(Kind.NOTIFY, phase="answer", sync=True, scope="attempt", on_raise=OnRaise.ISOLATE)
def after_attempt(attempt: Attempt, outcome: Outcome) -> None:
    """Observe the end of an attempt.

    When: once for every attempt that was sent, at its end (for a stream, its last byte), before its deferred functions.
    Result: ignored.
    Raise: isolated: the failure is counted and logged.
    """


@hook(Kind.FIRST, phase="failure", scope="attempt", result=(Retry, Continue, GiveUp))
async def on_failure(attempt: Attempt, error: LocalAgentError) -> Retry | Continue | GiveUp | None:
    """Decide what happens after a failed attempt.

    When: after every attempt that ended with an error; never after a refusal, a cancellation or the call's deadline,
    and never once a stream has delivered content.
    Result: ``Retry`` (at the same, the next or a given target, after some seconds), ``Continue`` or ``GiveUp``. The
    core makes a retry only if the budget, ``max_attempts`` and the deadline allow it. A retry that is not made uses no
    budget.
    None: the next plugin is called; if all return None, the call ends with the error.
    Raise: the call ends.
    """


@hook(Kind.NOTIFY, phase="end", on_raise=OnRaise.ISOLATE, limit=30.0)
async def cache_store(call: Call, entry: CacheEntry) -> None:
    """Store an answer.

    When: after a complete answer to a call that may be shared, including an answer from a later cache (``entry.source``
    names it). Never for errors, interrupted streams, or answers that a length limit or a filter cut off.
    Result: ignored.
    Raise: isolated: the failure is counted and logged.
    """


@hook(Kind.CHAIN, phase="stream", sync=True, result=(StreamStep,))
def wrap_stream(call: Call) -> StreamStep | None:
    """Return an object that changes a stream on its way to its consumer.

    When: when the first content of a stream has arrived, once per consumer.
    Result: a ``StreamStep``. Its ``feed`` receives every chunk, and its ``end`` the finish reason.
    None: this plugin does not change the stream.
    Raise: the call ends.
    """


@hook(Kind.NOTIFY, phase="end", sync=True, on_raise=OnRaise.ISOLATE)
def record_metric(call: Call, metric: Metric) -> None:
    """Observe every call once: answers, cache hits, refusals, errors and cancellations.

    When: at the end of the call, in the task or callback that ends it.
    Result: ignored.
    Raise: isolated: the failure is counted and logged.
    """


@hook(Kind.COLLECT, phase="stats", sync=True, scope="process", on_raise=OnRaise.SKIP, result=(list, tuple))
def collect_stats() -> Sequence[Sample]:  # type: ignore[empty-body]
    """Report the plugin's own gauges, counters and histograms.

    When: whenever somebody reads statistics, for example once every 15 seconds. It must be fast: read counts that are
        kept anyway, and do no I/O.
    Result: samples of the instruments in ``Plugin.instruments``. Labels have few different values: names from the
        settings and codes, never a user's text.
    None: there is nothing to report.
    Raise: the plugin is skipped; the failure is counted and logged.
    """
