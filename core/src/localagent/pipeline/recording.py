"""Steps that write their decision and duration to the records of their call, for receipts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import attrs

from localagent.pipeline.steps import Step
from localagent.records.attempt import Attempt
from localagent.records.receipt_lines import StepRecord


def recorded(step: Step) -> Step:
    """Return a step that also writes its decision and its duration to the records of its call."""
    inner = step.call

    async def awaiting(*arguments: Any) -> Any:
        with _noting(step, arguments[0]) as noted:
            noted.result = await inner(*arguments)
            return noted.result

    def plain(*arguments: Any) -> Any:
        with _noting(step, arguments[0]) as noted:
            noted.result = inner(*arguments)
            return noted.result

    return attrs.evolve(step, call=awaiting if step.awaits else plain)


@contextlib.contextmanager
def _noting(step: Step, subject: Any) -> Iterator[SimpleNamespace]:
    """Write the outcome of a step to the records of its call: the ``result`` that is set, or the exception."""
    call = subject.call if isinstance(subject, Attempt) else subject
    began = call.started if call.records is None else call.records.clock()
    noted = SimpleNamespace(result=None)
    try:
        yield noted
    except BaseException as error:  # recorded and raised again, from any code
        noted.result = error
        raise
    finally:
        if call.records is not None:
            spent, at = call.records.clock() - began, began - call.started
            decision = StepRecord.describe(noted.result)
            call.records.append(StepRecord(step.spec.name, step.plugin, decision, spent * 1e6, at * 1e6))
