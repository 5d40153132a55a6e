"""JSON that is small as bytes and large as objects: ``[],[],[]`` takes 25 times its length when it is decoded."""

from __future__ import annotations

from localagent.errors import ResponseTooLarge

LARGE = 1024 * 1024
"""Bytes up to which nothing is counted: what they can become is bounded enough."""
MOST_MEMBERS = 1_000_000
"""Objects, arrays and names of members; an answer of 10,000 tokens with 20 alternatives each has half of that."""
MOST_COMMAS = 2_000_000

_PIECE = 1024 * 1024


def refuse_dense(raw: bytes, *, numbers: bool = False) -> None:
    """Refuse a document that holds more values than any answer does; to be asked before it is decoded.

    Characters are counted where they stand, also in strings: that is a hundred times as fast as decoding.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which nobody decodes.

    Raises:
        ResponseTooLarge: It holds too many.
    """
    if len(raw) <= LARGE:
        return
    members = commas = 0
    for start in range(0, len(raw), _PIECE):
        piece = raw[start : start + _PIECE]
        members += piece.count(b"{") + piece.count(b"[") + piece.count(b":")
        commas += 0 if numbers else piece.count(b",")
        if members > MOST_MEMBERS or commas > MOST_COMMAS:
            raise ResponseTooLarge("The answer holds too many values.", phase="read")
