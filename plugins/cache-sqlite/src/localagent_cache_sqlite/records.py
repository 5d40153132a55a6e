"""Entries as bytes with a checksum in front: SQLite itself does not notice when a disk gives other bytes back."""

from __future__ import annotations

import zlib

from localagent import CacheEntry, CacheKey, pack_entry, unpack_entry

CHECK = 4  # bytes of the checksum


def encoded(entry: CacheEntry) -> bytes | None:
    """Return an entry as bytes; None when it holds what cannot be written."""
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
