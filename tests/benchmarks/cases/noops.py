"""Plugins whose steps do nothing."""

from __future__ import annotations

from typing import Any

from localagent import Attempt, Call, Metric, Outcome, Plugin, Refused, Request, Target, hookimpl


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


SYNC: dict[str, Any] = {"select_instance": select_instance, "record_metric": record_metric}
ASYNC: dict[str, Any] = {"pre_request": pre_request, "rate_check": rate_check}
ALL: dict[str, Any] = {**SYNC, **ASYNC, "after_attempt": after_attempt}


def plugin(*hooks: str, number: int = 0) -> type[Plugin]:
    """Return a plugin with these steps, each of which does nothing.

    Args:
        hooks: Names of hooks.
        number: Tells plugins of the same steps apart.
    """
    name = f"request-noop-{number}"
    return type("NoOp", (Plugin,), {"name": name, **{hook: ALL[hook] for hook in hooks}})
