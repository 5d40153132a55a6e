"""Values as they lie in the store: a head that says what follows, and bytes that may be compressed.

The head: two letters, the version of the format, how the bytes are packed, their length when unpacked, and a checksum
of them as they lie there.
"""

from __future__ import annotations

import struct
import zlib

MARK, VERSION = b"LA", 2
PLAIN, DEFLATED = 0, 1
LEVEL = 1  # of zlib's: about five times as quick as the usual 6, and a tenth larger, on answers in JSON
_HEAD = struct.Struct(">2sBBII")


class NoEntryError(Exception):
    """The bytes are not what was written."""


def packed(data: bytes, compress_above: int) -> bytes:
    """Return the value that holds these bytes.

    Args:
        data: The bytes.
        compress_above: The length from which on they are compressed, if that makes them shorter.
    """
    packing, body = PLAIN, data
    if len(data) > compress_above:
        deflated = zlib.compress(data, LEVEL)
        if len(deflated) < len(data):
            packing, body = DEFLATED, deflated
    return _HEAD.pack(MARK, VERSION, packing, len(data), zlib.crc32(body)) + body


def unpacked(value: bytes, longest: int) -> bytes | None:
    """Return the bytes that a value holds; None when it is of a version that is not known, or longer than allowed.

    Args:
        value: The value.
        longest: The most bytes, unpacked.

    Raises:
        NoEntryError: It is damaged, or something else.
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
    """Return the length that a value says it has unpacked; 0 when it says none."""
    return int(_HEAD.unpack_from(value)[3]) if len(value) >= _HEAD.size else 0


def _inflated(body: bytes, length: int) -> bytes:
    """Decompress no more than was promised: a few bytes may stand for gigabytes."""
    try:
        return zlib.decompressobj().decompress(body, length + 1)
    except zlib.error:
        raise NoEntryError("not compressed") from None
