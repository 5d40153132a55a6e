"""The plan of an operation: all its steps, compiled once into tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from localagent.pipeline.steps import Step


@attrs.frozen(eq=False)
class Plan:
    """All steps of one operation, in order. A hook without steps costs one truth test.

    Attributes:
        operation: chat, complete or embed.
        needs_usage: Whether a plugin needs token counts, so that streams request them.
    """

    operation: str
    pre_request: tuple[Step, ...] = ()
    cache_lookup: tuple[Step, ...] = ()
    select_instance: tuple[Step, ...] = ()
    prepare_attempt: tuple[Step, ...] = ()
    rate_check: tuple[Step, ...] = ()
    hedge_after: tuple[Step, ...] = ()
    check_answer: tuple[Step, ...] = ()
    after_attempt: tuple[Step, ...] = ()
    on_failure: tuple[Step, ...] = ()
    cache_store: tuple[Step, ...] = ()
    wrap_stream: tuple[Step, ...] = ()
    record_metric: tuple[Step, ...] = ()
    needs_usage: bool = False

    def steps(self) -> dict[str, tuple[Step, ...]]:
        """Return the steps by hook, in the order of a request's life."""
        return {name: getattr(self, name) for name in CALL_HOOKS}

    def mapped(self, change: Callable[[Step], Step]) -> Plan:
        """Return a plan in which every step is replaced by ``change(step)``."""
        changed: dict[str, Any] = {name: tuple(map(change, steps)) for name, steps in self.steps().items()}
        return attrs.evolve(self, **changed)


CALL_HOOKS = tuple(field.name for field in attrs.fields(Plan) if field.default == ())
