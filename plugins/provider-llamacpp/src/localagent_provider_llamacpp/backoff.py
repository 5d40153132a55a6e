"""The delay before a model server that died is restarted."""

from __future__ import annotations

import attrs


@attrs.frozen
class Backoff:
    """Exponential delays with jitter; pure arithmetic, so it can be tested without waiting.

    Attributes:
        first: Seconds before the first restart.
        factor: The factor by which each delay exceeds the previous one.
        cap: The longest delay in seconds.
        settled: Seconds that a server must have been healthy so that its next death counts as the first again.
    """

    first: float = 0.5
    factor: float = 2.0
    cap: float = 30.0
    settled: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait.

        Half of the delay is fixed and half is random, so that servers that died together do not restart together.

        Args:
            failures: Number of consecutive deaths, at least 1.
            chance: A random number from 0 to 1.
        """
        exponent = min(failures - 1, 64)  # far above any cap, far below what overflows
        return float(min(self.cap, self.first * self.factor**exponent)) * (0.5 + chance / 2)
