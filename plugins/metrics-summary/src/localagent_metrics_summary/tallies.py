"""What is counted: one tally for each combination of operation, model, instance and tenant, bounded in number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from localagent import Histogram, Metric, Usage
from localagent_metrics_summary.settings import SummarySettings

OTHER = "(other)"
MODEL, FLIGHT = "model", "flight"
"""The sources of answers besides caches, which appear with their names."""
PARTS = tuple((kind, f"{kind}_tokens") for kind in ("cached", "cache_write", "reasoning", "audio"))
"""Types of tokens that are parts of the prompt or of the completion, and the fields of ``Usage``."""


class Group(NamedTuple):
    """What a tally counts.

    Attributes:
        operation: chat, complete or embed.
        provider: The provider's name; empty when no target was chosen.
        model: The model's name at the provider.
        instance: The id of the instance.
        tenant: The tenant.
    """

    operation: str
    provider: str
    model: str
    instance: str
    tenant: str


GROUP = Group._fields


class Tally:
    """The counts of one group.

    Attributes:
        outcomes: Operations by status, code of the error, and source of the answer.
        durations: Seconds of successful operations, by source.
        first_token: Seconds to the first content of streams that a model answered.
        between_tokens: Seconds between tokens.
        queue: Seconds until the first attempt was sent.
        prompt: Tokens that models read.
        completion: Tokens that models wrote.
        parts: Tokens of other types.
        attempts: Attempts that were sent.
        retries: Attempts after the first of an operation.
    """

    __slots__ = ("attempts", "between_tokens", "completion", "durations", "first_token", "outcomes", "parts", "prompt",
                 "queue", "retries")  # fmt: skip

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str, str], int] = {}
        self.durations: dict[str, Histogram] = {}
        self.first_token = Histogram()
        self.between_tokens = Histogram()
        self.queue = Histogram()
        self.prompt = 0
        self.completion = 0
        self.parts: dict[str, int] = {}
        self.attempts = 0
        self.retries = 0

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by type, those that occurred."""
        counts = {"prompt": self.prompt, "completion": self.completion, **self.parts}
        return {kind: count for kind, count in counts.items() if count}

    def add(self, metric: Metric) -> int:
        """Count an operation; return the tokens that models processed for it."""
        source = metric.cached or (FLIGHT if metric.coalesced else MODEL)
        outcome = (metric.status, metric.code, source)
        outcomes = self.outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        seconds = metric.seconds
        if metric.status == "ok":
            durations = self.durations
            if source not in durations:
                durations[source] = Histogram()
            durations[source].observe(seconds)
        if source is not MODEL:
            return 0
        attempts = metric.attempts
        if attempts:
            self.attempts += attempts
            self.retries += attempts - 1
            self.queue.observe(metric.queued)
        usage, first = metric.usage, metric.first
        if first is not None:
            self.first_token.observe(first)
            written = usage.completion_tokens if usage is not None else None
            if written is not None and written > 1 and metric.status == "ok":
                self.between_tokens.observe((seconds - first) / (written - 1))
        return 0 if usage is None else self._add_tokens(usage)

    def _add_tokens(self, usage: Usage) -> int:
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        self.prompt += prompt
        self.completion += completion
        if usage.cached_tokens is not None or usage.reasoning_tokens is not None:
            for kind, field in PARTS:
                self._add_part(kind, getattr(usage, field))
        if prompt or completion:
            return prompt + completion
        self._add_part("unknown", usage.total_tokens)
        return usage.total_tokens or 0

    def _add_part(self, kind: str, count: int | None) -> None:
        if count:
            self.parts[kind] = self.parts.get(kind, 0) + count


class Tallies:
    """All tallies, at most ``groups`` of them besides those for the rest.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: SummarySettings) -> None:
        self._settings = settings
        self._tallies: dict[Group, Tally] = {}
        self._known: dict[tuple[str, str, str, str], Tally] = {}
        self._models: set[str] = set()
        self._tenants: set[str] = set()

    def __iter__(self) -> Iterator[tuple[Group, Tally]]:
        yield from self._tallies.items()

    def add(self, metric: Metric) -> int:
        """Count an operation; return the tokens that models processed for it."""
        key = (metric.operation, metric.model, metric.instance, metric.tenant)
        tally = self._known.get(key)
        if tally is None:
            tally = self._of(*key)
            if len(self._known) < self._settings.groups:
                self._known[key] = tally
        return tally.add(metric)

    def _of(self, operation: str, model: str, instance: str, tenant: str) -> Tally:
        """Return the tally of a group, which is created if there is room."""
        settings = self._settings
        provider, _, name = model.partition("/")
        group = Group(
            operation,
            provider,
            name if _has_room(model, self._models, settings.models) else OTHER,
            instance,
            tenant if _has_room(tenant, self._tenants, settings.tenants) else OTHER,
        )
        if group not in self._tallies and len(self._tallies) >= settings.groups:
            group = group._replace(tenant=OTHER)
        if group not in self._tallies and len(self._tallies) >= 2 * settings.groups:
            group = group._replace(model=OTHER)
        return self._tallies.setdefault(group, Tally())


def _has_room(name: str, known: set[str], most: int) -> bool:
    """Whether a name is counted separately; note it if it is new."""
    if name not in known and len(known) >= most:
        return False
    known.add(name)
    return True
