"""Receipts as text."""

from __future__ import annotations

from collections.abc import Iterator

from localagent import Receipt
from localagent.records import AttemptRecord


def receipt_text(receipt: Receipt, *, steps: bool = True) -> str:
    """Return a receipt as lines: the call, its attempts, and the decision and cost of each step.

    Args:
        receipt: The receipt.
        steps: Whether the steps are shown.
    """
    return "\n".join((*_call_lines(receipt), *(_step_lines(receipt) if steps else ())))


def _call_lines(receipt: Receipt) -> Iterator[str]:
    origin = f", answered by the cache {receipt.cached}" if receipt.cached else ""
    yield f"call {receipt.call}: {receipt.milliseconds:.0f} ms{origin}"
    for attempt in receipt.attempts:
        yield f"  attempt {attempt.number}: {_attempt(attempt)}"


def _step_lines(receipt: Receipt) -> Iterator[str]:
    rows = [(f"  {step.hook}", step.plugin, f"{step.microseconds:.0f} us", step.decision) for step in receipt.steps]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for hook, plugin, cost, decision in rows:
        yield f"{hook:<{widths[0]}}  {plugin:<{widths[1]}}  {cost:>{widths[2]}}  {decision}"
    if not rows:
        yield "  no plugin took part"
    own = sum(span.microseconds for span in receipt.timeline if span.name == "core")
    yield f"  core: {own:.0f} us"


def _attempt(attempt: AttemptRecord) -> str:
    first = "" if attempt.first_milliseconds is None else f", first content after {attempt.first_milliseconds:.0f} ms"
    code = f" ({attempt.code})" if attempt.code else ""
    return f"{attempt.target}, {attempt.status}{code}, {attempt.milliseconds:.0f} ms{first}"
