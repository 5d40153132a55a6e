"""The settings of metrics-savings."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds


@attrs.frozen
class SavingsSettings:
    """``[plugins.metrics-savings]``: how the figures are stored.

    Attributes:
        interval: How long figures stay in memory before they are added to the file; a crash loses at most these.
        days: The number of days that figures are kept.
        lines: The maximum number of lines per day; further figures are added to one line for all others.
    """

    interval: PositiveSeconds = 5.0
    days: Count = 400
    lines: Count = 1000
