"""Refuses JSON that is small as bytes but large as objects: ``[],[],[]`` takes 25 times its length when decoded."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Iterator

from localagent.errors import ResponseTooLarge
from localagent.timing.work import let_others_run

LARGE = 1024 * 1024
"""Documents of up to this many bytes are not counted: their decoded size is small enough."""
MOST_MEMBERS = 1_000_000
"""Objects, arrays and member names; an answer of 10,000 tokens with 20 alternatives each has half as many."""
MOST_COMMAS = 2_000_000
BLOCK = 256 * 1024
"""Bytes that are counted in one step, which takes about 0.2 milliseconds."""

_NO_STRUCTURE = bytes(set(range(256)) - set(b"{[:,"))


def blocks_of(raw: bytes, *, numbers: bool = False) -> Iterator[bytes]:
    """Yield the blocks of a document, each after its values are counted.

    Characters are counted everywhere, also in strings: that is much faster than decoding. One ``translate`` for all of
    them takes a third of the time of a ``count`` for each.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which are not decoded.

    Raises:
        ResponseTooLarge: It contains more values than any real answer.
    """
    members = commas = 0
    for start in range(0, len(raw), BLOCK):
        block = raw[start : start + BLOCK]
        structure = block.translate(None, _NO_STRUCTURE)
        separators = structure.count(b",")
        members += len(structure) - separators
        commas += 0 if numbers else separators
        if members > MOST_MEMBERS or commas > MOST_COMMAS:
            raise ResponseTooLarge("The answer contains too many values.", phase="read")
        yield block


def refuse_dense(raw: bytes, *, numbers: bool = False) -> None:
    """Refuse a document that contains more values than any real answer; to be called before it is decoded.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which are not decoded.

    Raises:
        ResponseTooLarge: It contains too many values.
    """
    if len(raw) > LARGE:
        for _ in blocks_of(raw, numbers=numbers):
            pass


async def looked_through(raw: bytes, *, numbers: bool = False) -> bool:
    """Check a large document in short steps, so that other tasks run in between; then wait for a turn to decode it.

    Pass the result as ``checked=`` to the function that reads the answer, so that it does not check the same bytes in
    one long step.

    Args:
        raw: The document.
        numbers: Whether long lists of numbers are expected, as in embeddings, which are not decoded.

    Returns:
        Whether the document was checked and is UTF-8; False also for a small one.

    Raises:
        ResponseTooLarge: It contains too many values.
    """
    if len(raw) <= LARGE:
        return False
    text = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks_of(raw, numbers=numbers):
            text.decode(block)
            await asyncio.sleep(0)
        text.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    await let_others_run(len(raw))
    return True
