"""One kind of operation behind a breaker: does what the server is likely to do in time, and says when it stops."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from localagent_valkey.breaker import FAILURES, Breaker, Permit
from localagent_valkey.connections import Connections
from localagent_valkey.figures import ValkeyFigures
from localagent_valkey.link import StoreMissedError

log = logging.getLogger("localagent.cache-valkey")

T = TypeVar("T")


class Guard:
    """The lookups or the stores of a cache.

    Args:
        what: Which, for the log.
        connections: The way there.
        breaker: Whether it is asked.
        clock: The time in seconds.
        figures: What it counts in.
    """

    def __init__(
        self,
        what: str,
        connections: Connections,
        breaker: Breaker,
        *,
        clock: Callable[[], float],
        figures: ValkeyFigures,
    ) -> None:
        self.breaker = breaker
        self._what = what
        self._connections = connections
        self._clock = clock
        self._figures = figures

    def admit(self) -> Permit | None:
        """Give the right to ask the server once; None when it is to be spared."""
        permit = self.breaker.admit(self._clock())
        if permit is None:
            self._figures.skipped += 1
        return permit

    async def run(self, permit: Permit, operation: Callable[[Redis], Awaitable[T]]) -> T | None:
        """Do an operation; None when the server did not do it in time.

        A probe has its connection made before its time begins to run; nobody waits for it.
        """
        try:
            if permit.probe:
                await self._connections.open_one()
            result = await self._connections.run(operation)
        except StoreMissedError as miss:
            self._figures.failed += 1
            if not miss.busy:
                self._settle(permit, good=False, why=miss.why)
            return None
        self._settle(permit, good=True)
        return result

    def _settle(self, permit: Permit, *, good: bool, why: str = "") -> None:
        was_open = self.breaker.is_open
        self.breaker.settle(permit, self._clock(), good=good)
        if self.breaker.is_open and not was_open:
            log.warning("%s failed %d times in a row (%s); there are none for a while.", self._what, FAILURES, why)
        elif was_open and not self.breaker.is_open:
            log.info("%s work again.", self._what)
