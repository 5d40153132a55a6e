"""Connections that are opened before a request needs them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from yarl import URL

from localagent import LocalAgentError
from localagent_connect_aiohttp.permits import Permits

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None], str], None]


class ReadyConnections:
    """Opens connections of one instance in the background, within its limits.

    Args:
        prepare: Opens a connection to an address and keeps it.
        permits: The instance's connection slots.
        idle: Returns the number of idle connections.
        spawn: Runs a coroutine in the background.
        timeout: Seconds after which an attempt to open a connection is given up.
    """

    def __init__(
        self,
        prepare: Callable[[URL], Awaitable[None]],
        permits: Permits,
        idle: Callable[[], int],
        spawn: Spawn,
        timeout: float,
    ) -> None:
        self._prepare = prepare
        self._permits = permits
        self._idle = idle
        self._spawn = spawn
        self._timeout = timeout
        self._opening = 0
        self._stopped = False

    def open(self, count: int, address: URL) -> None:
        """Open connections, at most ``count`` at a time."""
        for _ in range(count - self._opening):
            work = self._open_one(address)
            self._spawn(work, "open a connection")
            if inspect.getcoroutinestate(work) != inspect.CORO_CLOSED:  # ``spawn`` closes it when too much work runs
                self._opening += 1

    def stop(self) -> None:
        """Stop opening connections."""
        self._stopped = True

    async def _open_one(self, address: URL) -> None:
        try:
            if not self._stopped and self._has_room() and self._permits.take():
                await self._open_in_slot(address)
        finally:
            self._opening -= 1

    async def _open_in_slot(self, address: URL) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._prepare(address)
        except (LocalAgentError, TimeoutError):
            return  # counted; the request that needs a connection reports the reason
        finally:
            self._permits.give()

    def _has_room(self) -> bool:
        """Return whether one more connection is allowed; the last free one is left to a request."""
        return self._permits.used + self._idle() + 1 < self._permits.limit
