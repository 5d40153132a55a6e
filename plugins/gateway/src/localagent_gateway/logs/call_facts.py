"""What the access log knows of the call that a request became: filled by the plugin when the call ends."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from localagent import Call, Metric


class CallFacts:
    """The figures of a request's call; empty for a request that became none.

    Attributes:
        metric: The metric of the call.
        key: The id of the caller's key.
    """

    __slots__ = ("key", "metric")

    def __init__(self) -> None:
        self.metric: Metric | None = None
        self.key = ""

    def fields(self) -> dict[str, Any]:
        """Return the fields of a log line; those that are not known are left out."""
        metric = self.metric
        if metric is None:
            return {}
        usage = metric.usage
        found = {
            "key": self.key,
            "tenant": metric.tenant,
            "model": metric.model,
            "instance": metric.instance,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "cached": metric.cached,
            "coalesced": metric.coalesced or None,
            "attempts": metric.attempts,
            "first_token_milliseconds": None if metric.first is None else round(metric.first * 1000, 2),
            "code": metric.code,
        }
        return {name: value for name, value in found.items() if value is not None and value != ""}


_FACTS: ContextVar[CallFacts | None] = ContextVar("facts of the request", default=None)


def begin() -> CallFacts:
    """Return the facts of the request that this task answers from now on."""
    facts = CallFacts()
    _FACTS.set(facts)
    return facts


def note(call: Call, metric: Metric) -> None:
    """Note the figures of a call that has ended, if it belongs to a request; calls of plugins do not count."""
    facts = _FACTS.get()
    if facts is not None and not metric.parent:
        facts.metric, facts.key = metric, call.principal.key
