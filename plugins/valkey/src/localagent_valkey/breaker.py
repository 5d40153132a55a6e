"""The circuit breaker: a state machine without clock, I/O or task.

Closed: all operations are allowed; three failures in a row open it. Open: no operation is allowed until the pause is
over; then one is, the probe. If it succeeds, the breaker closes; if it fails or never ends, another pause begins.
"""

from __future__ import annotations

from typing import NamedTuple

FAILURES = 3


class Permit(NamedTuple):
    """The permission for one operation.

    Attributes:
        number: The period of the breaker in which it was given; its outcome counts only in this period.
        probe: Whether its outcome alone decides.
    """

    number: int
    probe: bool


class Breaker:
    """A circuit breaker. All times are seconds of the same clock.

    Args:
        pause: Seconds that it stays open.
        failures: The number of failures in a row that open it.
    """

    def __init__(self, pause: float, failures: int = FAILURES) -> None:
        self._pause = pause
        self._failures = failures
        self._number = 0
        self._in_a_row = 0
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open; also while a probe is running."""
        return self._next_probe is not None

    def admit(self, now: float) -> Permit | None:
        """Return a permit for one operation; None if none is allowed now."""
        if self._next_probe is None:
            return Permit(self._number, probe=False)
        if now < self._next_probe:
            return None
        # The pause begins with the probe, so a probe that never ends does not block all others forever.
        self._begin(now + self._pause)
        return Permit(self._number, probe=True)

    def settle(self, permit: Permit, now: float, *, good: bool) -> None:
        """Record an outcome; outcomes from other periods are ignored.

        Args:
            permit: The permit of the operation.
            now: The current time.
            good: Whether the operation succeeded.
        """
        if permit.number != self._number:
            return
        if good:
            self._in_a_row = 0
            if permit.probe:
                self._begin(None)
            return
        self._in_a_row += 1
        if permit.probe or self._in_a_row >= self._failures:
            self._begin(now + self._pause)

    def _begin(self, next_probe: float | None) -> None:
        """Begin a period: open until ``next_probe``, or closed."""
        self._number += 1
        self._in_a_row = 0
        self._next_probe = next_probe
