"""Where the time of a call went: steps, attempts, waiting between them, and the core's own work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from localagent.records.receipt_lines import AttemptRecord, StepRecord

CORE, WAIT = "core", "wait"

Item = tuple[float, StepRecord | AttemptRecord, list[StepRecord] | None]
"""The start of a step or an attempt in microseconds, the step or attempt, and the steps inside an attempt."""


class Span(msgspec.Struct, frozen=True):
    """A part of a call's time that belongs to one cause. The spans of a call do not overlap.

    Attributes:
        name: The hook of a step; ``attempt-1`` and so on; ``wait`` between two attempts; or ``core``.
        plugin: The plugin of a step; empty for the others.
        microseconds: Its duration; that of an attempt without the steps inside it.
    """

    name: str
    plugin: str
    microseconds: float


def timeline(steps: Sequence[StepRecord], attempts: Sequence[AttemptRecord], end: float) -> tuple[Span, ...]:
    """Return the spans of a call in order; their sum is the call's duration, up to the resolution of the clock.

    Args:
        steps: The steps; those that ran after the end of the call are not part of it.
        attempts: The attempts.
        end: The call's duration in microseconds.
    """
    return tuple(_spans(_outer(steps, attempts, end), end))


def _spans(items: list[Item], end: float) -> Iterator[Span]:
    now, before = 0.0, ""
    for start, item, inner in items:
        if start > now:
            yield Span(WAIT if before == "on_failure" and inner is not None else CORE, "", start - now)
        if inner is None:
            yield Span(item.hook, item.plugin, item.microseconds)  # type: ignore[union-attr]
            stop, before = start + item.microseconds, item.hook  # type: ignore[union-attr]
        else:
            stop, before = (item.at + item.milliseconds) * 1000, ""  # type: ignore[union-attr]
            own = stop - start - sum(step.microseconds for step in inner)
            yield Span(f"attempt-{item.number}", "", max(0.0, own))  # type: ignore[union-attr]
            yield from (Span(step.hook, step.plugin, step.microseconds) for step in inner)
        now = max(now, stop)
    if end > now:
        yield Span(CORE, "", end - now)


def _outer(steps: Sequence[StepRecord], attempts: Sequence[AttemptRecord], end: float) -> list[Item]:
    """Return the attempts with the steps inside each, and the steps outside all of them, by their start."""
    inside: dict[int, list[StepRecord]] = {one.number: [] for one in attempts}
    items: list[Item] = []
    for step in steps:
        within = next((one for one in attempts if _contains(one, step)), None)
        if within is not None:
            inside[within.number].append(step)
        elif step.at < end:
            items.append((step.at, step, None))
    items += [(max(0.0, one.at * 1000), one, inside[one.number]) for one in attempts]
    return sorted(items, key=lambda item: item[0])


def _contains(attempt: AttemptRecord, step: StepRecord) -> bool:
    start = attempt.at * 1000
    stop = start + attempt.milliseconds * 1000
    return start <= step.at < stop and step.at + step.microseconds <= stop
