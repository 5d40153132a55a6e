"""Function calls, counted: the same number on every machine."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Self

from answers import pieces, words

from cases import clients
from cases.memory_transport import MemoryTransport, bringing
from localagent import Plugin


async def calls_a_chunk(events: int, parts: int, *plugins: type[Plugin]) -> float:
    """Return the function calls, those into C included, that one more chunk of a stream costs.

    A stream is read and one twice as long; what they differ by is shared among the chunks of the difference.

    Args:
        events: Events of the shorter stream.
        parts: Pieces in which the transport hands it out.
        plugins: Plugins beside the provider's own.
    """
    short = await _calls(events, parts, *plugins)
    long = await _calls(2 * events, 2 * parts, *plugins)
    return (long - short) / events


async def _calls(events: int, parts: int, *plugins: type[Plugin]) -> int:
    """Count the calls of one stream: the least of three counts, because a timer of the loop may fire in between."""
    memory = bringing(MemoryTransport(*pieces(parts, events)))
    async with clients.client(clients.NOWHERE, memory, *plugins) as client:
        run = clients.streams(client, words(events))
        await run(1)
        counts = []
        for _ in range(3):
            with Counter() as counter:
                await run(1)
            counts.append(counter.calls)
        return min(counts)


class Counter:
    """Counts the function calls of this thread while it is entered.

    Attributes:
        calls: Calls so far.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        self.calls += event in {"call", "c_call"}
