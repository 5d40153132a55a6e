"""An entry as a row of the file: its number, its bytes with a checksum, and what it counts against the bounds."""

from __future__ import annotations

import zlib

import msgspec

from localagent import CacheEntry, CacheKey
from localagent.records import pack_entry, unpack_entry

CHECK = 4  # bytes of the checksum
BESIDE = 350
"""Bytes that an entry takes beside its record: its row, its places in the indexes, a ghost; a test measures it."""
PAGE = 4096
WHOLE_PAGES = 1500
"""Bytes of a record from which on it shares no page with others, more or less; a test measures it."""


class Row(msgspec.Struct, frozen=True):
    """An entry that waits to be written.

    Attributes:
        entry: The entry, so that it answers meanwhile.
        made: When its answer was made, in seconds since the epoch.
        record: The entry as bytes.
        size: What it counts against the bound, in bytes.
    """

    entry: CacheEntry
    made: float
    record: bytes
    size: int


def row_id(key: CacheKey) -> int:
    """Return the number of a key's row: the first eight bytes of its digest. The whole key is in the row."""
    return int.from_bytes(key.digest[:8], signed=True)


def encoded(entry: CacheEntry) -> bytes | None:
    """Return an entry as bytes; None when it holds what cannot be written.

    A checksum stands in front: SQLite itself does not notice when a disk gives other bytes back.
    """
    data = pack_entry(entry)
    return None if data is None else zlib.crc32(data).to_bytes(CHECK) + data


def decoded(key: CacheKey, data: bytes) -> CacheEntry | None:
    """Return the entry that was made bytes; None when they are not what was written.

    Args:
        key: Its key.
        data: The bytes.
    """
    record = memoryview(data)[CHECK:]
    if zlib.crc32(record) != int.from_bytes(data[:CHECK]):
        return None
    entry = unpack_entry(record)
    return entry if entry is not None and entry.key == key else None


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
