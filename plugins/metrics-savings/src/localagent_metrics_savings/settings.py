"""The settings of metrics-savings."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds


@attrs.frozen
class SavingsSettings:
    """``[plugins.metrics-savings]``: how the books are kept.

    Attributes:
        interval: How long figures stay in memory before they are added to the file; a crash loses at most these.
        days: For how many days they are kept.
        lines: The most lines of a day; what has no line of its own is added to one for all others.
    """

    interval: PositiveSeconds = 5.0
    days: Count = 400
    lines: Count = 1000
