"""JSON that is small as bytes and large as objects: ``[],[],[]`` takes 25 times its length when it is decoded."""

from __future__ import annotations

import asyncio
import codecs

from localagent.errors import ResponseTooLarge
from localagent.timing.work import let_others_run

LARGE = 1024 * 1024
"""Bytes up to which nothing is counted: what they can become is bounded enough."""
MOST_MEMBERS = 1_000_000
"""Objects, arrays and names of members; an answer of 10,000 tokens with 20 alternatives each has half of that."""
MOST_COMMAS = 2_000_000
BLOCK = 256 * 1024
"""Bytes that are looked at in one go, in about 0.2 milliseconds."""

_NO_STRUCTURE = bytes(set(range(256)) - set(b"{[:,"))


class DensityCount:
    """Counts the values of a document, and refuses it as soon as these are more than any answer holds.

    Characters are counted where they stand, also in strings: that is much faster than decoding. One ``translate`` for
    all of them takes a third of the time of a ``count`` for each.

    Args:
        numbers: Whether long lists of numbers are expected, as in embeddings, which nobody decodes.
    """

    __slots__ = ("_commas", "_members", "_numbers")

    def __init__(self, *, numbers: bool = False) -> None:
        self._numbers = numbers
        self._members = self._commas = 0

    def add(self, block: bytes) -> None:
        """Count the next bytes of the document.

        Raises:
            ResponseTooLarge: It holds too many values.
        """
        structure = block.translate(None, _NO_STRUCTURE)
        commas = structure.count(b",")
        self._members += len(structure) - commas
        self._commas += 0 if self._numbers else commas
        if self._members > MOST_MEMBERS or self._commas > MOST_COMMAS:
            raise ResponseTooLarge("The answer holds too many values.", phase="read")


def refuse_dense(raw: bytes, *, numbers: bool = False) -> None:
    """Refuse a document that holds more values than any answer does; to be asked before it is decoded.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which nobody decodes.

    Raises:
        ResponseTooLarge: It holds too many.
    """
    if len(raw) <= LARGE:
        return
    count = DensityCount(numbers=numbers)
    for start in range(0, len(raw), BLOCK):
        count.add(raw[start : start + BLOCK])


async def looked_through(raw: bytes, *, numbers: bool = False) -> bool:
    """Look through a large document in many short steps, between which others run; then wait for a turn to decode it.

    What reads an answer is told by ``checked=``, and does not look through the same bytes in one long step.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which nobody decodes.

    Returns:
        Whether the document was looked through and is UTF-8; False also for one that is small.

    Raises:
        ResponseTooLarge: It holds too many values.
    """
    if len(raw) <= LARGE:
        return False
    count, text = DensityCount(numbers=numbers), codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(raw), BLOCK):
            block = raw[start : start + BLOCK]
            count.add(block)
            text.decode(block, start + BLOCK >= len(raw))
            await asyncio.sleep(0)
    except UnicodeDecodeError:
        return False
    await let_others_run(len(raw))
    return True
