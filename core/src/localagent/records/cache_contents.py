"""What a cache tells of its contents, and how they are chosen: for ``localagent cache``.

Never what was asked; what was answered only where that is exported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

import attrs
import msgspec

from localagent.records.caching import CacheEntry, CacheKey


class CacheCounts(msgspec.Struct):
    """What became of the requests of a tenant for a model, and of its answers.

    Attributes:
        model: The model, as ``provider/name``; empty for those that were too many to be counted apart.
        tenant: The tenant.
        hits: Requests that were answered.
        misses: Requests that were not.
        stored: Answers that were kept.
        evicted: Answers that went because there was no room.
        expired: Answers that went because of their age.
        too_large: Answers that were not kept because of their size.
    """

    model: str = ""
    tenant: str = ""
    hits: int = 0
    misses: int = 0
    stored: int = 0
    evicted: int = 0
    expired: int = 0
    too_large: int = 0


class CacheStats(msgspec.Struct, frozen=True):
    """How full a cache is, and what it did.

    Attributes:
        entries: Answers that are kept.
        size: Bytes that they take, as the bound counts them.
        max_entries: The most answers; None where there is no such bound.
        max_size: The most bytes; None where there is no such bound.
        counts: The counts of each model and tenant.
        where: Where the answers are; empty for the memory of a process.
    """

    entries: int
    size: int
    max_entries: int | None = None
    max_size: int | None = None
    counts: tuple[CacheCounts, ...] = ()
    where: str = ""


class EntryInfo(msgspec.Struct, frozen=True):
    """An entry, without what was asked and answered.

    Attributes:
        digest: Under which it is kept, in hexadecimal digits.
        model: The model that answered, as ``provider/name``.
        tenant: Whose entry it is.
        age: Seconds since the answer was made.
        size: Bytes that it takes, as the bound counts them.
        hits: How often it has answered.
    """

    digest: str
    model: str
    tenant: str
    age: float
    size: int
    hits: int


@attrs.frozen
class EntryFilter:
    """Which entries are meant: those that fit all that is said.

    Attributes:
        model: Of this model, as ``provider/name``; None means of any.
        tenant: Of this tenant; None means of any.
        older: Whose answers were made at least so many seconds ago.
    """

    model: str | None = None
    tenant: str | None = None
    older: float = 0.0

    def fits(self, key: CacheKey, age: float) -> bool:
        """Say whether an entry is meant.

        Args:
            key: Its key.
            age: Seconds since its answer was made.
        """
        return self.model in (None, key.model) and self.tenant in (None, key.tenant) and age >= self.older


@runtime_checkable
class CacheContents(Protocol):
    """A cache plugin that can be looked into. A plugin that has these methods is one; it need not say so."""

    async def cache_stats(self) -> CacheStats:
        """Return how full it is, and what it did."""

    def cache_entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield what there is to tell of entries that have not expired."""

    def cache_export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield entries that have not expired, answers included."""

    async def cache_purge(self, entry_filter: EntryFilter) -> int:
        """Let entries go for good; return how many."""
