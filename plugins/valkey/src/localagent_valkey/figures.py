"""What the cache tells of itself."""

from __future__ import annotations

import attrs


@attrs.define
class ValkeyFigures:
    """What has happened since the cache was opened.

    Attributes:
        hits: Lookups that were answered.
        misses: Lookups that were not, whatever the reason.
        stored: Answers that were kept.
        too_large: Answers that were not kept because of their size.
        damaged: Values that were no entries, and were deleted.
        failed: Operations that the server did not do, or not in time.
        skipped: Operations that the server was spared because it had failed before.
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
