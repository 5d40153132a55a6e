"""Runs one kind of operation through a circuit breaker, and logs when the breaker opens and closes."""

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
        what: The kind of operation, for the log.
        connections: The connections to the server.
        breaker: The circuit breaker.
        clock: Returns the time in seconds.
        figures: The counts to update.
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
        """Return a permit for one operation; None while the breaker is open."""
        permit = self.breaker.admit(self._clock())
        if permit is None:
            self._figures.skipped += 1
        return permit

    async def run(self, permit: Permit, operation: Callable[[Redis], Awaitable[T]]) -> T | None:
        """Run an operation and return its result; None if it failed or timed out.

        The timeout of a probe begins after its connection is open; no caller waits for it.
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
            log.warning("%s failed %d times in a row (%s) and are paused.", self._what, FAILURES, why)
        elif was_open and not self.breaker.is_open:
            log.info("%s work again.", self._what)
