"""What an entry counts against the bound of bytes: its share of the file."""

from __future__ import annotations

BESIDE = 350
"""Bytes that an entry takes beside its record: its row, its places in the indexes, a ghost; a test measures it."""
PAGE = 4096
WHOLE_PAGES = 1500
"""Bytes of a record from which on it shares no page with others, more or less; a test measures it."""


def size_of(record: bytes, names: int) -> int:
    """Return about how many bytes of the file an entry takes.

    Args:
        record: The entry as bytes.
        names: Characters of its model's and tenant's names.
    """
    length = len(record)
    # Rows of the same page come in no order, so that pages are two thirds full.
    taken = -(-length // PAGE) * PAGE if length > WHOLE_PAGES else length + length // 2
    return BESIDE + names + taken
