"""Plugins whose steps do nothing."""

from __future__ import annotations

from typing import Any

from localagent import (
    Attempt,
    CacheEntry,
    CacheKey,
    Call,
    LocalAgentError,
    Metric,
    Outcome,
    Plugin,
    Refused,
    Request,
    Response,
    StreamStep,
    Target,
    hookimpl,
)


@hookimpl
def select_instance(self: Plugin, call: Call, candidates: tuple[Target, ...]) -> None:
    """Leave the candidates as they are."""


@hookimpl
def record_metric(self: Plugin, call: Call, metric: Metric) -> None:
    """Record nothing."""


@hookimpl
def after_attempt(self: Plugin, attempt: Attempt, outcome: Outcome) -> None:
    """Take no note."""


@hookimpl
async def pre_request(self: Plugin, call: Call, request: Request) -> Request | None:
    """Leave the request as it is."""
    return None


@hookimpl
async def rate_check(self: Plugin, attempt: Attempt) -> Refused | None:
    """Admit."""
    return None


@hookimpl
async def prepare_attempt(self: Plugin, attempt: Attempt, request: Request) -> Request | None:
    """Leave the request as it is."""
    return None


@hookimpl
def check_answer(self: Plugin, attempt: Attempt, response: Response) -> LocalAgentError | None:
    """Accept."""
    return None


@hookimpl
async def on_failure(self: Plugin, attempt: Attempt, error: LocalAgentError) -> None:
    """Decide nothing."""


@hookimpl
async def cache_lookup(self: Plugin, call: Call, keys: tuple[CacheKey, ...]) -> CacheEntry | None:
    """Find nothing."""
    return None


@hookimpl
async def cache_store(self: Plugin, call: Call, entry: CacheEntry) -> None:
    """Store nothing."""


@hookimpl
def wrap_stream(self: Plugin, call: Call) -> StreamStep | None:
    """Change nothing."""
    return None


SYNC: dict[str, Any] = {"select_instance": select_instance, "record_metric": record_metric}
ASYNC: dict[str, Any] = {"pre_request": pre_request, "rate_check": rate_check}
ALL: dict[str, Any] = {**SYNC, **ASYNC, "after_attempt": after_attempt}
EVERY: dict[str, Any] = {
    **ALL,
    "prepare_attempt": prepare_attempt,
    "check_answer": check_answer,
    "on_failure": on_failure,
    "cache_lookup": cache_lookup,
    "cache_store": cache_store,
    "wrap_stream": wrap_stream,
}
"""A step of every hook of a call."""


def plugin(*hooks: str, number: int = 0) -> type[Plugin]:
    """Return a plugin with these steps, each of which does nothing.

    Args:
        hooks: Names of hooks.
        number: Tells plugins of the same steps apart.
    """
    name = f"request-noop-{number}"
    return type("NoOp", (Plugin,), {"name": name, **{hook: EVERY[hook] for hook in hooks}})
