"""How much of the traffic may be retries: one budget for retries, continuations and hedges."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localagent.errors import LocalAgentError
    from localagent.records.instances import Target


class RetryBudget:
    """Allows retries in proportion to traffic: ``ratio`` of the calls of the last ``window``, plus a floor.

    The shape is Finagle's RetryBudget (deposits that expire, and a minimum for programs with little traffic).

    Args:
        clock: Monotonic seconds.
        ratio: Retries allowed per call.
        floor: Retries per second that are allowed whatever the traffic.
        window: Seconds for which a call counts.
    """

    def __init__(self, clock: Callable[[], float], *, ratio: float, floor: float, window: float) -> None:
        self._clock = clock
        self._ratio = ratio
        self._reserve = floor * window
        self._window = window
        # Ten buckets a window keep memory constant: (start, calls, retries).
        self._slots: deque[list[float]] = deque()

    def deposit(self) -> None:
        """Count a call."""
        self._slot()[1] += 1

    def draw(self) -> bool:
        """Take one retry; False when the budget is spent."""
        slot = self._slot()
        if self.left < 1.0:
            return False
        slot[2] += 1
        return True

    def give_back(self, drawn: float) -> None:
        """Return a retry that was drawn and not made.

        Args:
            drawn: Clock time at which it was drawn. One from before the window costs nothing any more.
        """
        self._slot()
        for slot in reversed(self._slots):
            if slot[0] <= drawn:
                slot[2] -= 1
                return

    @property
    def left(self) -> float:
        """Retries that may be made now."""
        calls = sum(slot[1] for slot in self._slots)
        retries = sum(slot[2] for slot in self._slots)
        return self._reserve + self._ratio * calls - retries

    def _slot(self) -> list[float]:
        now = self._clock()
        slots = self._slots
        if slots and now < slots[-1][0] + self._window / 10:
            return slots[-1]
        while slots and slots[0][0] <= now - self._window:
            slots.popleft()
        slots.append([now, 0.0, 0.0])
        return slots[-1]


class Draws:
    """What one call draws from the budget: one repeat at a time, given back if it is never sent.

    Args:
        budget: The budget of all calls.
        clock: Monotonic seconds.
    """

    __slots__ = ("_budget", "_clock", "_drawn", "_free")

    def __init__(self, budget: RetryBudget, clock: Callable[[], float]) -> None:
        self._budget = budget
        self._clock = clock
        self._drawn: float | None = None  # when the repeat was drawn that is not sent yet
        self._free: set[Target] = set()

    def allow(self, error: LocalAgentError, target: Target) -> bool:
        """Return whether a repeat may be made; it is drawn, unless it costs nothing.

        Args:
            error: What ended the attempt. If nothing was sent, one repeat a target is free.
            target: The target of that attempt.
        """
        if self._drawn is not None:
            return True  # the last repeat failed before it was sent: this one takes its place
        if not error.advice.sent and target not in self._free:
            self._free.add(target)
            return True
        if self._budget.draw():
            self._drawn = self._clock()
        return self._drawn is not None

    def sent(self) -> None:
        """Note that the repeat is being sent: it is not given back any more."""
        self._drawn = None

    def give_back(self) -> None:
        """Give back the repeat that was not sent, if there is one: the call was closed, cancelled or refused."""
        if self._drawn is not None:
            self._budget.give_back(self._drawn)
