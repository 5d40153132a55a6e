"""Embeddings in the encoding that was asked for, whichever the server chose.

The official SDK asks for ``base64`` unless it is told otherwise: little-endian 32-bit floats. Many servers send lists
of numbers all the same.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any

import msgspec

LARGE = 100_000  # bytes; decoding this many digits takes about a millisecond

_encode = msgspec.json.Encoder().encode
_FIRST = re.compile(rb'"embedding"\s*:\s*(["\[])')
_BEGINS = {"float": b"[", "base64": b'"'}


def differs(raw: bytes, wanted: Any) -> bool:
    """Say whether vectors are encoded in another way than is wanted, without decoding them.

    Args:
        raw: The answer.
        wanted: ``float`` or ``base64``; servers may know others, which are left as they are.
    """
    begins = _BEGINS.get(wanted) if isinstance(wanted, str) else None
    found = _FIRST.search(raw) if begins else None
    return found is not None and found[1] != begins


def converted(raw: bytes, wanted: str) -> bytes:
    """Return the answer with its vectors in the encoding that is wanted; what is no vector stays as it is."""
    document = msgspec.json.decode(raw)
    for row in document["data"]:
        row["embedding"] = _packed(row["embedding"]) if wanted == "base64" else _unpacked(row["embedding"])
    return _encode(document)


def _packed(vector: Any) -> Any:
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (struct.error, OverflowError, TypeError):
        return vector


def _unpacked(text: Any) -> Any:
    try:
        data = base64.b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (struct.error, binascii.Error, ValueError, TypeError):
        return text
