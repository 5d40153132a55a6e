"""Connection slots of one instance."""

from __future__ import annotations

import asyncio
from collections import deque


class Permits:
    """Connection slots of one instance, given out in the order of asking.

    aiohttp's own limit is not used: waiting there looks like a connect timeout.

    Args:
        limit: Slots.
    """

    __slots__ = ("_free", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def used(self) -> int:
        """Slots that are taken now."""
        return self.limit - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a slot if one is free and nobody waits."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Wait for a slot and take it."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self.give()  # the slot came in the same turn of the loop as the cancellation
            elif future in self._waiting:  # ``give`` may have passed it over by now
                self._waiting.remove(future)
            raise

    def give(self) -> None:
        """Give a slot back, or hand it to whoever waits longest."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
