"""The answers of one file, as the event loop sees them. Reads are done on the loop, everything else by one thread.

A read takes about 12 us on the loop; handed to a thread, 205 us, and 2,300 where the loop is busy, for the interpreter
changes hands at every row (measured with CPython 3.13 and 10,000 entries of 4 KB). Reads never wait for a writer. A
disk that is slow is not asked again by the loop before a read in the thread was quick.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from localagent import CacheEntry, CacheKey
from localagent_cache_sqlite.batches import Row
from localagent_cache_sqlite.keeper import FileKeeper
from localagent_cache_sqlite.reading import find, fresh


class AnswerStore:
    """A file and what waits for it.

    Args:
        keeper: The file.
        ttl: Seconds after which an entry expires.
        clock: Monotonic seconds.
        wall: Seconds since the epoch.
    """

    def __init__(
        self, keeper: FileKeeper, *, ttl: float, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._keeper = keeper
        self._waiting = keeper.waiting
        self._patience = keeper.patience
        self._ttl = ttl
        self._clock = clock
        self._wall = wall

    def lookup(self, keys: Sequence[CacheKey]) -> CacheEntry | None:
        """Return the entry of the first key that has one, and count the hit; or count a miss, for the first model."""
        now = self._wall()
        for key in keys:
            entry = self._find(key, now)
            if entry is not None:
                self._waiting.hit(key)
                return entry
        if keys:
            self._waiting.count(keys[0], "misses")
        return None

    def _find(self, key: CacheKey, now: float) -> CacheEntry | None:
        row = self._waiting.find(key)
        if row is not None:
            return row.entry if fresh(row.made, now, self._ttl) else None
        file = self._keeper.file
        if file is None or self._patience.over or self._waiting.hides(key):
            return None
        began = self._clock()
        number = file.number
        try:
            return file.read(find, key, now, self._ttl)
        except sqlite3.Error as error:
            self._keeper.mend_soon(number, error)
            return None
        finally:
            self._patience.note(self._clock() - began)

    def keep(self, row: Row) -> None:
        """Have an entry written; it is found from now on."""
        self._waiting.keep(row)
        self._work_if_pressing()

    def refuse(self, key: CacheKey) -> None:
        """Count an entry that is too large; what was under its key is outdated."""
        self._waiting.count(key, "too_large")
        self._waiting.let_go(key)
        self._work_if_pressing()

    def _work_if_pressing(self) -> None:
        if self._waiting.is_pressing:
            self._keeper.work()
