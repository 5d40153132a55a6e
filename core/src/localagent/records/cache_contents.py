"""What a cache reports about its contents, and how entries are selected: for ``localagent cache``.

Requests are never included; answers only in an export.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

import attrs
import msgspec

from localagent.records.caching import CacheEntry, CacheKey


class CacheCounts(msgspec.Struct):
    """How the cache served the requests of one tenant for one model.

    Attributes:
        model: The model, as ``provider/name``; empty for all models beyond those that are counted separately.
        tenant: The tenant.
        hits: Requests that the cache answered.
        misses: Requests that it did not answer.
        stored: Answers that were stored.
        evicted: Answers that were removed to make room.
        expired: Answers that were removed because of their age.
        too_large: Answers that were not stored because of their size.
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
    """How full a cache is, and how it was used.

    Attributes:
        entries: Number of stored answers.
        size: Their size in bytes, counted as for ``max_size``.
        max_entries: The maximum number of answers; None if there is no such limit.
        max_size: The maximum size in bytes; None if there is no such limit.
        counts: The counts of each model and tenant.
        where: Where the answers are stored; empty for the memory of a process.
    """

    entries: int
    size: int
    max_entries: int | None = None
    max_size: int | None = None
    counts: tuple[CacheCounts, ...] = ()
    where: str = ""


class EntryInfo(msgspec.Struct, frozen=True):
    """An entry, without its request and answer.

    Attributes:
        digest: The digest of its key, in hexadecimal digits.
        model: The model that answered, as ``provider/name``.
        tenant: The tenant that it belongs to.
        age: Seconds since the answer was made.
        size: Its size in bytes, counted as for ``CacheStats.max_size``.
        hits: How often it has answered a request.
    """

    digest: str
    model: str
    tenant: str
    age: float
    size: int
    hits: int


@attrs.frozen
class EntryFilter:
    """Selects entries: those that meet all conditions.

    Attributes:
        model: Only entries of this model, as ``provider/name``; None means any.
        tenant: Only entries of this tenant; None means any.
        older: Only entries whose answers are at least this many seconds old.
    """

    model: str | None = None
    tenant: str | None = None
    older: float = 0.0

    def fits(self, key: CacheKey, age: float) -> bool:
        """Return whether an entry is selected.

        Args:
            key: The key of the entry.
            age: Seconds since its answer was made.
        """
        return self.model in (None, key.model) and self.tenant in (None, key.tenant) and age >= self.older


@runtime_checkable
class CacheContents(Protocol):
    """A cache plugin whose contents can be inspected. Any plugin with these methods is one; it does not subclass it."""

    async def cache_stats(self) -> CacheStats:
        """Return how full the cache is, and how it was used."""

    def cache_entries(self, entry_filter: EntryFilter) -> AsyncIterator[EntryInfo]:
        """Yield information about the entries that have not expired."""

    def cache_export(self, entry_filter: EntryFilter) -> AsyncIterator[CacheEntry]:
        """Yield entries that have not expired, answers included."""

    async def cache_purge(self, entry_filter: EntryFilter) -> int:
        """Delete entries; return how many."""
