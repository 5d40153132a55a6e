"""Counts turns of the event loop: code that lets other tasks run gives them turns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns", "counting_turns"]


class Turns:
    """The turns of the running event loop.

    Attributes:
        count: How many there were since this was created.
    """

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.count += 1
        self._next = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """Stop counting."""
        self._next.cancel()


@contextmanager
def counting_turns() -> Iterator[Turns]:
    """Count the turns of the event loop while the context is open."""
    turns = Turns()
    try:
        yield turns
    finally:
        turns.stop()
