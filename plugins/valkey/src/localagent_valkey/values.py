"""The format of stored values: a header, and bytes that may be compressed.

The header: two letters, the version of the format, the kind of packing, the unpacked length, and a checksum of the
stored bytes.
"""

from __future__ import annotations

import struct
import zlib

MARK, VERSION = b"LA", 2
PLAIN, DEFLATED = 0, 1
LEVEL = 1  # of zlib: about five times as fast as the default 6, and a tenth larger, for answers in JSON
_HEAD = struct.Struct(">2sBBII")


class NoEntryError(Exception):
    """The bytes are not a valid entry."""


def packed(data: bytes, compress_above: int) -> bytes:
    """Return the value that contains these bytes.

    Args:
        data: The bytes.
        compress_above: The length above which they are compressed, if that makes them shorter.
    """
    packing, body = PLAIN, data
    if len(data) > compress_above:
        deflated = zlib.compress(data, LEVEL)
        if len(deflated) < len(data):
            packing, body = DEFLATED, deflated
    return _HEAD.pack(MARK, VERSION, packing, len(data), zlib.crc32(body)) + body


def unpacked(value: bytes, longest: int) -> bytes | None:
    """Return the bytes in a value; None if its version is unknown or it is longer than allowed.

    Args:
        value: The value.
        longest: The maximum unpacked length in bytes.

    Raises:
        NoEntryError: The value is damaged or of another kind.
    """
    if value[:2] != MARK or len(value) < _HEAD.size:
        raise NoEntryError("no head")
    _, version, packing, length, check = _HEAD.unpack_from(value)
    if version != VERSION or length > longest:
        return None
    body = value[_HEAD.size :]
    if zlib.crc32(body) != check:
        raise NoEntryError("another checksum")
    data = _inflated(body, length) if packing == DEFLATED else body
    if packing not in (PLAIN, DEFLATED) or len(data) != length:
        raise NoEntryError("another length")
    return data


def unpacked_length(value: bytes) -> int:
    """Return the unpacked length from the header of a value; 0 if it has none."""
    return int(_HEAD.unpack_from(value)[3]) if len(value) >= _HEAD.size else 0


def _inflated(body: bytes, length: int) -> bytes:
    """Decompress at most the stated length: a few bytes may expand to gigabytes."""
    try:
        return zlib.decompressobj().decompress(body, length + 1)
    except zlib.error:
        raise NoEntryError("not compressed") from None
