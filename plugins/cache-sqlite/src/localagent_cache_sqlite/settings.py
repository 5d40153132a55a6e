"""The settings of cache-sqlite."""

from __future__ import annotations

from pathlib import Path

import attrs

from localagent import Bytes, Count, PositiveSeconds


@attrs.frozen
class SqliteCacheSettings:
    """``[plugins.cache-sqlite]``: where answers are kept, how many, and for how long.

    Attributes:
        folder: The folder of the file; by default the plugin's folder in the state folder. It must be on a local disk,
            because processes share the file through memory.
        max_size: The maximum size of all answers, including what is stored with them.
        max_entries: The maximum number of answers.
        max_answer: The maximum size of one answer. An event loop waits about a millisecond for one of 1 MiB.
        ttl: The age at which an answer expires, counted from when it was made.
        timeout: The time to read one answer; a slower disk is not used until it is faster again.
    """

    folder: Path | None = None
    max_size: Bytes = 2**30
    max_entries: Count = 100_000
    max_answer: Bytes = 2**20
    ttl: PositiveSeconds = 86_400.0
    timeout: PositiveSeconds = 0.05
