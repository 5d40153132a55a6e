"""The settings of failure-retry."""

from __future__ import annotations

import attrs

from localagent import Count, PositiveSeconds


@attrs.frozen
class RetrySettings:
    """``[plugins.failure-retry]``: how often and how long one call waits for the same target.

    Attributes:
        attempts_per_target: The maximum number of attempts of one call at one target: a model at an instance.
        transient_cap: The longest pause after a transient failure, such as a broken connection, in seconds.
        throttle_cap: The longest pause for a busy server that does not say how long to wait, in seconds.
        max_wait: The longest wait that a server may ask for, in seconds; one that asks for more is not asked again.
    """

    attempts_per_target: Count = 2
    transient_cap: PositiveSeconds = 20.0
    throttle_cap: PositiveSeconds = 20.0
    max_wait: PositiveSeconds = 60.0
