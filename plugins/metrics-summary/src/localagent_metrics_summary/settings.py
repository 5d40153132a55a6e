"""The settings of metrics-summary."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds


@attrs.frozen
class SummarySettings:
    """``[plugins.metrics-summary]``: how much is kept in memory.

    Attributes:
        models: The most models that are counted separately; further ones are counted together as ``(other)``.
        tenants: The most tenants that are counted separately; further ones are counted together as ``(other)``.
        groups: The most combinations of operation, model, instance and tenant that are counted separately; for further
            ones, the tenant and then the model are counted as ``(other)``.
        window: The span over which rates, such as operations per second, are measured; full seconds.
        recent: The number of latest operations that are kept as records.
        history: Whether to keep a history in a file, for ``localagent history``.
        interval: Seconds between two additions to the file; a crash loses at most these.
        days: The number of days that the history is kept.
    """

    models: Count = 50
    tenants: Count = 50
    groups: Count = 300
    window: PositiveSeconds = 60.0
    recent: Count = 100
    history: bool = False
    interval: PositiveSeconds = 60.0
    days: Count = 90
