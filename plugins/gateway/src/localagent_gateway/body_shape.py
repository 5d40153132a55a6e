"""Bounds what a JSON text may hold before it is decoded.

The decoder holds the interpreter's lock, so one body with millions of values stops every other request, in a thread
too. What is counted here is counted on the bytes, by methods of ``bytes`` alone: 32 MiB take some ten milliseconds.
Bytes that are no JSON get some count; the decoder refuses them afterwards.
"""

from __future__ import annotations

from array import array
from itertools import accumulate

from localagent_gateway.errors import TooLarge

ESCAPES = 2_000_000
"""Escapes in the texts of a body: each takes ten times as long to decode as a plain character."""
WHOLE_NUMBERS = 10
"""Values that cost next to nothing, such as tokens to embed: so many count as one."""

_BRACKETS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes 1 and -1: what accumulates is the depth


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_NO_MARKS = _all_but(b'"\\[{:,')
_NO_STRUCTURE = _all_but(b"[{]},.eE")
_NO_BRACKETS = _all_but(b"[{]}")


def check_shape(body: bytes, values: int, depth: int) -> None:
    """Refuse a body that holds too much, or is nested too deep.

    Objects, lists, texts, names of fields, fractions, true and false count as one value each; whole numbers and null
    as a tenth.

    Args:
        body: The JSON text.
        values: The most values.
        depth: The most objects and lists that may be nested.

    Raises:
        TooLarge: It does.
    """
    marks = body
    if len(body) > values:
        marks = body.translate(None, _NO_MARKS)
        if marks.count(b"\\") > ESCAPES:
            raise TooLarge(f"The texts of the body hold more than {ESCAPES} escapes.")
    if len(marks) <= values and marks.count(b"[") + marks.count(b"{") <= depth:
        return  # most bodies: even if all that stands in texts were structure
    structure, texts = _structure(body, values)
    brackets = structure.translate(None, _NO_BRACKETS)
    opened = brackets.count(b"[") + brackets.count(b"{")
    held = max(opened, len(brackets) - opened)  # there is JSON only where both are the same
    plain = structure.count(b",")
    fractions = len(structure) - len(brackets) - plain
    if held + texts + fractions + plain // WHOLE_NUMBERS > values:
        raise _too_many(values)
    if opened > depth and max(accumulate(array("b", brackets.translate(_BRACKETS)))) > depth:
        raise TooLarge(f"The body is nested deeper than {depth} levels.")


def _structure(body: bytes, values: int) -> tuple[bytes, int]:
    """Return the characters of structure outside texts, and the number of texts."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = body.count(b'"') // 2
    if texts > values:
        raise _too_many(values)
    outside = b"".join(body.split(b'"')[::2])
    return outside.translate(None, _NO_STRUCTURE), texts


def _too_many(values: int) -> TooLarge:
    return TooLarge(f"The body holds more than {values} values.", mend="Send it in several requests.")
