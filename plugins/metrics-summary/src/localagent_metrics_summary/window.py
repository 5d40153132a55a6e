"""Rates over the last seconds, in constant memory."""

from __future__ import annotations


class Window:
    """Counts of the last full seconds.

    Args:
        seconds: The span; rounded up to a whole number of seconds.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, -int(-seconds // 1))
        self._stamps = [-1] * self.seconds
        self._counts = [[0, 0, 0] for _ in range(self.seconds)]
        self._first: int | None = None

    def add(self, now: float, tokens: int, failed: bool) -> None:
        """Count an operation that ended at the clock time ``now``."""
        second = int(now)
        if self._first is None:
            self._first = second
        place = second % self.seconds
        counts = self._counts[place]
        if self._stamps[place] != second:
            self._stamps[place] = second
            counts[:] = 0, 0, 0
        counts[0] += 1
        counts[1] += tokens
        counts[2] += failed

    def rates(self, now: float) -> tuple[float, float, float]:
        """Return operations, tokens and errors per second: over the window, or since the first operation if shorter."""
        second = int(now)
        if self._first is None:
            return 0.0, 0.0, 0.0
        span = min(self.seconds, second - self._first + 1)
        recent = [
            counts
            for stamp, counts in zip(self._stamps, self._counts, strict=True)
            if second - self.seconds < stamp <= second
        ]
        operations, tokens, failed = (sum(column) for column in zip(*recent, strict=True)) if recent else (0, 0, 0)
        return operations / span, tokens / span, failed / span
