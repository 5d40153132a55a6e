"""The retry budget: it limits the share of retries, continuations and hedges in the traffic."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localagent.errors import LocalAgentError
    from localagent.records.instances import Target


class RetryBudget:
    """Allows retries for a share (``ratio``) of the calls in the last ``window``, plus a minimum rate (``floor``).

    It is modelled on Finagle's RetryBudget (deposits that expire, and a minimum for programs with little traffic).

    Args:
        clock: Returns monotonic seconds.
        ratio: Retries allowed per call.
        floor: Retries per second that are always allowed.
        window: Seconds for which a call counts.
    """

    def __init__(self, clock: Callable[[], float], *, ratio: float, floor: float, window: float) -> None:
        self._clock = clock
        self._ratio = ratio
        self._reserve = floor * window
        self._window = window
        # Ten buckets per window keep memory constant: (start, calls, retries).
        self._slots: deque[list[float]] = deque()

    def deposit(self) -> None:
        """Count a call."""
        self._slot()[1] += 1

    def draw(self) -> bool:
        """Take one retry; return False if the budget is exhausted."""
        slot = self._slot()
        if self.left < 1.0:
            return False
        slot[2] += 1
        return True

    def give_back(self, drawn: float) -> None:
        """Return a retry that was drawn but not made.

        Args:
            drawn: Clock time at which it was drawn. A retry from before the window no longer counts.
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
    """The retries that one call draws from the budget: one at a time, returned if it is never sent.

    Args:
        budget: The budget of all calls.
        clock: Returns monotonic seconds.
    """

    __slots__ = ("_budget", "_clock", "_drawn", "_free")

    def __init__(self, budget: RetryBudget, clock: Callable[[], float]) -> None:
        self._budget = budget
        self._clock = clock
        self._drawn: float | None = None  # when the retry was drawn that is not sent yet
        self._free: set[Target] = set()

    def allow(self, error: LocalAgentError, target: Target) -> bool:
        """Return whether a retry may be made, and draw it from the budget unless it is free.

        Args:
            error: The error of the attempt. If nothing was sent, one retry per target is free.
            target: The target of that attempt.
        """
        if self._drawn is not None:
            return True  # the last retry failed before it was sent, so this one replaces it
        if not error.advice.sent and target not in self._free:
            self._free.add(target)
            return True
        if self._budget.draw():
            self._drawn = self._clock()
        return self._drawn is not None

    def sent(self) -> None:
        """Note that the retry is being sent, so it is no longer returned."""
        self._drawn = None

    def give_back(self) -> None:
        """Return the retry that was not sent, if any: the call was closed, cancelled or refused."""
        if self._drawn is not None:
            self._budget.give_back(self._drawn)
