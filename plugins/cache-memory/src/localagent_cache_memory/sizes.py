"""How much memory an entry takes."""

from __future__ import annotations

from sys import getsizeof

from localagent import CacheEntry

BESIDE = 1500
"""Bytes that an entry takes beside its text, its share of every table and of one ghost included; a test measures it."""


def size_of(entry: CacheEntry) -> int:
    """Return about how many bytes an entry takes, with all that is kept beside it."""
    response = entry.response
    size = BESIDE + getsizeof(response.raw) + getsizeof(getattr(response, "text", "")) + getsizeof(response.facts)
    events = getattr(response, "streamed", None) or entry.events
    if events:
        size += getsizeof(events) + sum(map(getsizeof, events))
    return size
