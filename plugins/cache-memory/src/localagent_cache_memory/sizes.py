"""The memory that an entry takes."""

from __future__ import annotations

from sys import getsizeof

from localagent import CacheEntry

BESIDE = 1500
"""Bytes of an entry without its text, including its share of every table and one ghost; a test measures it."""


def size_of(entry: CacheEntry) -> int:
    """Return the approximate size of an entry in bytes, including what is stored with it."""
    response = entry.response
    size = BESIDE + getsizeof(response.raw) + getsizeof(getattr(response, "text", "")) + getsizeof(response.facts)
    events = getattr(response, "streamed", None) or entry.events
    if events:
        size += getsizeof(events) + sum(map(getsizeof, events))
    return size
