"""When a worker that died is started again."""

from __future__ import annotations

import attrs

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
LONGEST_AFTER_SERVICE = 0.5  # the settings are good: only work that kills it could kill it again
SETTLED_SECONDS = 2.0


def restart_delay(deaths: int) -> float:
    """Return how many seconds to wait before a worker is started again: 0.1, doubled for each death in a row, to 30.

    Args:
        deaths: Deaths in a row, at least 1.
    """
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(deaths - 1, 16))


@attrs.define
class Restarts:
    """Counts the deaths of one place's workers; pure arithmetic.

    Attributes:
        deaths: Deaths in a row of workers that did not settle.
    """

    deaths: int = 0

    def after(self, served: float | None) -> float:
        """Take note of a death; return how many seconds to wait before the next start.

        Args:
            served: For how many seconds it served; None when it never began to.
        """
        self.deaths = 1 if served is not None and served >= SETTLED_SECONDS else self.deaths + 1
        delay = restart_delay(self.deaths)
        return delay if served is None else min(delay, LONGEST_AFTER_SERVICE)
