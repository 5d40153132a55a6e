"""Whether the server is asked at all: a state machine without clock, I/O or task.

Closed: everybody may ask; three failures in a row open it. Open: nobody may ask until the pause is over; then one may,
the probe. If the probe succeeds, it closes; if it fails, or is never heard of again, another pause begins.
"""

from __future__ import annotations

from typing import NamedTuple

FAILURES = 3


class Permit(NamedTuple):
    """The right to ask once.

    Attributes:
        number: The period of the breaker in which it was given; it counts for no other.
        probe: Whether its outcome alone decides.
    """

    number: int
    probe: bool


class Breaker:
    """One breaker. Times are those of one clock, in seconds.

    Args:
        pause: Seconds that it stays open.
        failures: Failures in a row that open it.
    """

    def __init__(self, pause: float, failures: int = FAILURES) -> None:
        self._pause = pause
        self._failures = failures
        self._number = 0
        self._in_a_row = 0
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is open; also while a probe is under way."""
        return self._next_probe is not None

    def admit(self, now: float) -> Permit | None:
        """Give the right to ask, or None."""
        if self._next_probe is None:
            return Permit(self._number, probe=False)
        if now < self._next_probe:
            return None
        # The pause begins with the probe: one that is never heard of again keeps nobody waiting for ever.
        self._begin(now + self._pause)
        return Permit(self._number, probe=True)

    def settle(self, permit: Permit, now: float, *, good: bool) -> None:
        """Take note of an outcome; those of another period tell nothing of this one.

        Args:
            permit: The right that was used.
            now: The time.
            good: Whether the server did what it was asked.
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
