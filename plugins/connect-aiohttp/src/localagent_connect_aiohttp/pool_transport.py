"""The transport of one instance: aiohttp with sessions of its own, tuned to what the instance is and says."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs

from localagent import (
    ConnectSettings,
    HttpAnswer,
    Instance,
    LocalAgentError,
    Permits,
    PoolProfile,
    Watch,
)
from localagent_connect_aiohttp.permits import PoolPermits
from localagent_connect_aiohttp.sessions import Sessions
from localagent_connect_aiohttp.settings import AiohttpConnectSettings
from localagent_connect_aiohttp.transport import AiohttpTransport

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class PoolTransport(AiohttpTransport):
    """Sends requests to one instance over connections that it keeps, and has ready before they are needed.

    Args:
        instance: The instance.
        settings: The plugin's settings.
        keep_to: Size limits of answers, and whom to trust.
        total: The connection slots of all instances.
        spawn: Runs work beside the path of a request.

    Attributes:
        profile: How connections are kept.
    """

    def __init__(
        self,
        instance: Instance,
        settings: AiohttpConnectSettings,
        keep_to: ConnectSettings,
        total: Permits,
        spawn: Spawn,
    ) -> None:
        self.profile: PoolProfile = settings.profile(instance.provider, instance.type, instance.pool)
        self._mine = Sessions(dns_ttl=settings.resolve_every)
        permits = PoolPermits(self.profile.limit, total)
        kept = attrs.evolve(instance, pool=self.profile)
        super().__init__(kept, self._mine, keep_to.caps, keep_to.authority, permits)
        self._settings = settings
        self._spawn = spawn
        self._opening = 0
        self._closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, clocks: Watch
    ) -> HttpAnswer:
        """Send a request and return when the head of the answer has come; see ``Transport.send``."""
        if self.permits.used and self._settings.spare and not self._mine.has_idle():
            self.make_ready(self._settings.spare)
        return await super().send(method, url, headers, body, clocks)

    def make_ready(self, count: int) -> None:
        """Open connections beside the path of requests: so many at a time, if the limits leave room for them."""
        for _ in range(count - self._opening):
            work = self._open_one()
            self._spawn(work, "open a connection")
            if inspect.getcoroutinestate(work) != inspect.CORO_CLOSED:  # it is when there was too much else to do
                self._opening += 1

    async def _open_one(self) -> None:
        try:
            if not self._closed and self._has_room() and self.permits.take():
                await self._open_in_slot()
        finally:
            self._opening -= 1

    async def _open_in_slot(self) -> None:
        try:
            async with asyncio.timeout(self._settings.connect):
                await self.prepare()
        except (LocalAgentError, TimeoutError):
            return  # counted; the request that needs a connection says why there is none
        finally:
            self.permits.give()

    def _has_room(self) -> bool:
        """Say whether there may be one more connection; the last that may be is left to a request."""
        stats = self.stats()
        return stats.active + stats.idle + 1 < stats.limit

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        self._closed = True
        await self._mine.aclose()
