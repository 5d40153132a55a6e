"""The settings of cache-sqlite."""

from __future__ import annotations

from pathlib import Path

import attrs

from localagent import Bytes, Count, PositiveSeconds


@attrs.frozen
class SqliteCacheSettings:
    """``[plugins.cache-sqlite]``: where answers are kept, how many, and for how long.

    Attributes:
        folder: Where the file is; the plugin's folder in the state folder, if nothing is said. It must be on a disk
            of this machine: processes share the file through memory.
        max_size: The most bytes of all answers, with everything that is kept beside them.
        max_entries: The most answers.
        max_answer: The most bytes of one answer. An event loop waits about a millisecond for one of 1 MiB.
        ttl: The age at which an answer expires, counted from when it was made.
        timeout: A disk that takes longer to read one answer is not asked again until it is quicker.
    """

    folder: Path | None = None
    max_size: Bytes = 2**30
    max_entries: Count = 100_000
    max_answer: Bytes = 2**20
    ttl: PositiveSeconds = 86_400.0
    timeout: PositiveSeconds = 0.05
