"""An entry as a row of the file: its id, its bytes with a checksum, and the size that counts against the limit."""

from __future__ import annotations

import zlib

import msgspec

from localagent import CacheEntry, CacheKey
from localagent.records import pack_entry, unpack_entry

CHECK = 4  # bytes of the checksum
BESIDE = 350
"""Bytes of an entry without its record: its row, its places in the indexes, a ghost; a test measures it."""
PAGE = 4096
WHOLE_PAGES = 1500
"""Bytes above which a record shares no page with others, approximately; a test measures it."""


class Row(msgspec.Struct, frozen=True):
    """A pending entry.

    Attributes:
        entry: The entry, for lookups until it is written.
        made: When its answer was made, in seconds since the epoch.
        record: The entry as bytes.
        size: Its size in bytes that counts against the limit.
    """

    entry: CacheEntry
    made: float
    record: bytes
    size: int


def row_id(key: CacheKey) -> int:
    """Return the id of a key's row: the first eight bytes of its digest. The row contains the whole key."""
    return int.from_bytes(key.digest[:8], signed=True)


def encoded(entry: CacheEntry) -> bytes | None:
    """Return an entry as bytes after a checksum; None when it contains values that cannot be written.

    SQLite itself does not notice when a disk returns different bytes.
    """
    data = pack_entry(entry)
    return None if data is None else zlib.crc32(data).to_bytes(CHECK) + data


def decoded(key: CacheKey, data: bytes) -> CacheEntry | None:
    """Return the entry from its bytes; None when they differ from those that were written.

    Args:
        key: The entry's key.
        data: The bytes.
    """
    record = memoryview(data)[CHECK:]
    if zlib.crc32(record) != int.from_bytes(data[:CHECK]):
        return None
    entry = unpack_entry(record)
    return entry if entry is not None and entry.key == key else None


def size_of(record: bytes, names: int) -> int:
    """Return the approximate number of bytes that an entry takes in the file.

    Args:
        record: The entry as bytes.
        names: The length of its model's and tenant's names.
    """
    length = len(record)
    # Rows of a page are inserted in no order, so pages are two thirds full.
    taken = -(-length // PAGE) * PAGE if length > WHOLE_PAGES else length + length // 2
    return BESIDE + names + taken
