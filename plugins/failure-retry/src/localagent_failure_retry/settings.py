"""The settings of failure-retry."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds


@attrs.frozen
class RetrySettings:
    """``[plugins.failure-retry]``: how often and how long one call waits for the same target.

    Attributes:
        attempts_per_target: The most attempts that one call makes at one target: a model at an instance.
        transient_cap: The longest pause after a failure that passes soon, such as a broken connection.
        throttle_cap: The longest pause for a server that is busy and does not say how long.
        max_wait: The longest time that a server may ask to wait; what asks for more is not asked again.
    """

    attempts_per_target: Count = 2
    transient_cap: PositiveSeconds = 20.0
    throttle_cap: PositiveSeconds = 20.0
    max_wait: PositiveSeconds = 60.0
