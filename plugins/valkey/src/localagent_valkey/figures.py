"""The statistics of the cache."""

from __future__ import annotations

import attrs

from localagent import Instrument

FAILED = Instrument("valkey.failures", "counter", "Operations that failed or timed out.")
SKIPPED = Instrument("valkey.skipped", "counter", "Operations that were not sent because the server had failed before.")
DAMAGED = Instrument("valkey.damaged", "counter", "Values that were not valid entries and were deleted.")
PAUSED = Instrument("valkey.paused", "gauge", "Processes that do not ask the server now, because it has failed.")

INSTRUMENTS = (FAILED, SKIPPED, DAMAGED, PAUSED)
"""The instruments of cache-valkey, besides those that caches share."""


@attrs.define
class ValkeyFigures:
    """The counts since the cache was opened.

    Attributes:
        hits: Lookups that were answered.
        misses: Lookups that were not answered, for any reason.
        stored: Answers that were kept.
        too_large: Answers that were not kept because of their size.
        damaged: Values that were not valid entries and were deleted.
        failed: Operations that failed or timed out.
        skipped: Operations that were not sent because the server had failed before.
        is_open: Whether the server is not asked for answers now.
    """

    hits: int = 0
    misses: int = 0
    stored: int = 0
    too_large: int = 0
    damaged: int = 0
    failed: int = 0
    skipped: int = 0
    is_open: bool = False
