"""Rates over the last seconds, in constant memory."""

from __future__ import annotations


class Window:
    """Counts of the last full seconds.

    Args:
        seconds: The span; rounded up to a whole number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, -int(-seconds // 1))
        self._past: dict[int, list[int]] = {}
        self._second = -1
        self._counts = [0, 0, 0]
        self._first: int | None = None

    def add(self, now: float, tokens: int, failed: bool) -> None:
        """Count an operation that ended at the clock time ``now``."""
        second = int(now)
        if second != self._second:
            self._turn(second)
        counts = self._counts
        counts[0] += 1
        counts[1] += tokens
        if failed:
            counts[2] += 1

    def rates(self, now: float) -> tuple[float, float, float]:
        """Return operations, tokens and errors per second: over the window, or since the first operation if shorter."""
        if self._first is None:
            return 0.0, 0.0, 0.0
        second = int(now)
        self._drop_before(second)
        span = min(self.seconds, second - self._first + 1)
        columns = zip(*self._past.values(), strict=True) if self._past else ((), (), ())
        operations, tokens, failed = (sum(column) / span for column in columns)
        return operations, tokens, failed

    def _turn(self, second: int) -> None:
        """Count for another second from now on."""
        if self._first is None:
            self._first = second
        self._drop_before(second)
        self._second = second
        self._counts = self._past.setdefault(second, [0, 0, 0])

    def _drop_before(self, second: int) -> None:
        for past in [past for past in self._past if past <= second - self.seconds]:
            del self._past[past]
        if self._second not in self._past:
            self._second = -1
