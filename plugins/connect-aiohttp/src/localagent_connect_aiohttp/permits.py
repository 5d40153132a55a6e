"""Connection slots: of one instance, and of one instance within the total of all instances."""

from __future__ import annotations

import asyncio
from collections import deque


class Permits:
    """Connection slots of one instance, handed out first come, first served.

    An HTTP client's own limit does not work here: waiting for it looks like a connect timeout.

    Args:
        limit: The number of slots.

    Attributes:
        waited: Total seconds that requests have waited for a slot, including those that gave up.
    """

    __slots__ = ("_free", "_waiting", "limit", "waited")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.waited = 0.0

    @property
    def used(self) -> int:
        """The number of slots in use."""
        return self.limit - self._free

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a slot."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a slot if one is free and no request waits; return whether it was taken."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Wait for a slot and take it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():
                # The slot arrived in the same iteration of the loop as the cancellation. A subclass may return more.
                Permits.give(self)
            elif future in self._waiting:  # ``give`` may have skipped it by now
                self._waiting.remove(future)
            raise
        finally:
            self.waited += loop.time() - began

    def give(self) -> None:
        """Return a slot, or hand it to the request that has waited longest."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1


class PoolPermits(Permits):
    """Connection slots of one instance, within the total of all instances.

    A request waits for the instance first, so a full instance never blocks another one.

    Args:
        limit: The number of slots of the instance.
        total: The slots of all instances together.
    """

    __slots__ = ("_behind", "_total")

    def __init__(self, limit: int, total: Permits) -> None:
        super().__init__(limit)
        self._total = total
        self._behind = 0

    @property
    def used(self) -> int:
        """The number of slots in use, taken from both."""
        return super().used - self._behind

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a slot of either."""
        return super().waiting + self._behind

    def take(self) -> bool:
        """Take a slot of both if they are free and no request waits; return whether they were taken."""
        if not super().take():
            return False
        if self._total.take():
            return True
        super().give()
        return False

    async def wait(self) -> None:
        """Wait for a slot of both and take them."""
        if not super().take():
            await super().wait()
        if self._total.take():
            return
        clock = asyncio.get_running_loop().time
        began = clock()
        self._behind += 1
        try:
            await self._total.wait()
        except asyncio.CancelledError:
            super().give()
            raise
        finally:
            self._behind -= 1
            self.waited += clock() - began

    def give(self) -> None:
        """Return a slot of both."""
        super().give()
        self._total.give()
