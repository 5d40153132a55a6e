"""Connection slots of one instance, each of which takes a slot of all instances, too."""

from __future__ import annotations

import asyncio

from localagent import Permits


class PoolPermits(Permits):
    """Connection slots of one instance, within the slots of all.

    Who waits, waits for the instance first: a full instance never blocks another one.

    Args:
        limit: Slots of the instance.
        total: The slots of all instances.
    """

    __slots__ = ("_behind", "_total")

    def __init__(self, limit: int, total: Permits) -> None:
        super().__init__(limit)
        self._total = total
        self._behind = 0

    @property
    def used(self) -> int:
        """Slots that are taken now, of both."""
        return super().used - self._behind

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot, of either."""
        return super().waiting + self._behind

    def take(self) -> bool:
        """Take a slot of both if they are free and nobody waits."""
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
        """Give a slot of both back."""
        super().give()
        self._total.give()
