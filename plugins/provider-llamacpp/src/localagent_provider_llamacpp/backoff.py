"""How long to wait before a model server that died is started again."""

from __future__ import annotations

import attrs


@attrs.frozen
class Backoff:
    """Exponential delays with jitter; pure arithmetic, so that it is tested without waiting.

    Attributes:
        first: Seconds before the first restart.
        factor: By how much each further delay is longer.
        cap: The longest delay in seconds.
        settled: Seconds that a server must have been healthy for its next death to count as the first again.
    """

    first: float = 0.5
    factor: float = 2.0
    cap: float = 30.0
    settled: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Return the seconds to wait.

        Half of the delay is certain and half is random, so that servers that died together do not start together.

        Args:
            failures: Deaths in a row, at least 1.
            chance: A random number from 0 to 1.
        """
        exponent = min(failures - 1, 64)  # far above any cap, far below what overflows
        return float(min(self.cap, self.first * self.factor**exponent)) * (0.5 + chance / 2)
