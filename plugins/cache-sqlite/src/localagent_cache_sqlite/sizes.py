"""What an entry counts against the bound of bytes: its share of the file."""

from __future__ import annotations

BESIDE = 700
"""Bytes that an entry takes beside its record: its row, its places in four indexes, a ghost; a test measures it."""
PAGE = 4096


def size_of(record: bytes, names: int) -> int:
    """Return about how many bytes of the file an entry takes.

    Args:
        record: The entry as bytes.
        names: Characters of its model's and tenant's names.
    """
    return BESIDE + names + len(record)
