"""The settings of cache-memory."""

from __future__ import annotations

import attrs

from localagent import Bytes, Count, PositiveSeconds


@attrs.frozen
class MemoryCacheSettings:
    """``[plugins.cache-memory]``: how much is kept, and for how long.

    Attributes:
        max_size: The maximum memory of all answers, including what is stored with them. An answer that takes more
            than a tenth of it is not kept.
        max_entries: The maximum number of answers.
        ttl: The age at which an answer expires, counted from when it was made.
    """

    max_size: Bytes = 256 * 2**20
    max_entries: Count = 100_000
    ttl: PositiveSeconds = 3600.0
