"""The transport of one instance."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from typing import Literal

from localagent import Instance
from localagent.errors import UpstreamServerError
from localagent.records import ConnectSettings, PoolStats
from localagent.timing import Forks, PhaseTimer
from localagent_connect_aiohttp import tls_context
from localagent_connect_fast.answer import FastAnswer
from localagent_connect_fast.connection import PIECE, Connection
from localagent_connect_fast.errors import unconnected
from localagent_connect_fast.heads import Heads
from localagent_connect_fast.opening import connect, system_tls
from localagent_connect_fast.origins import Origin
from localagent_connect_fast.pool import Pool
from localagent_connect_fast.resolving import Resolver

_DEFAULTS = ConnectSettings()


class FastTransport:
    """Sends requests to one instance; see ``localagent.records.transport.Transport``.

    Args:
        instance: The instance; its pool profile applies.
        resolver: Resolves names; its owner closes it.
        settings: Size limits of answers, and the trusted authorities.
    """

    def __init__(self, instance: Instance, resolver: Resolver, settings: ConnectSettings = _DEFAULTS) -> None:
        self._profile = instance.pool
        self._resolver = resolver
        self._size_limits = settings.size_limits
        self._authority = settings.authority
        self._heads = Heads()
        self._pool: Pool | None = None
        self._inherited: list[Pool] = []

    def stats(self) -> PoolStats:
        """Return the current statistics."""
        return self._pool.stats() if self._pool is not None else PoolStats(limit=self._profile.limit)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, phases: PhaseTimer
    ) -> FastAnswer:
        """Send a request and return once the head of the answer has arrived; see ``Transport.send``."""
        head = self._heads.get(method, url, headers)
        pool = self._pool
        if pool is None or pool.forks != Forks.count:
            pool = self._new_pool()
        permits = pool.permits
        if not permits.take():
            await pool.wait(phases)
        phase: Literal["send", "first_token"] = "first_token" if body is None or len(body) <= PIECE else "send"
        phases.enter(phase)
        try:
            if phases.fresh:
                pool.make_room()
            connection = None if phases.fresh else pool.take(head.origin)
            if connection is None:
                connection = await self._open(pool, head.origin, phases)
                phases.enter(phase)
            answer = FastAnswer(connection, self._size_limits)
            await connection.exchange(answer, head, body, phases)
        except UpstreamServerError as error:
            permits.give()
            if error.advice.stale:
                pool.drop_idle(head.origin)  # the others to the same server may be closed, too
            raise
        except BaseException:
            permits.give()
            raise
        if answer.connection is None:
            permits.give()  # the whole answer arrived with its head
        else:
            answer.slot = permits
        return answer

    async def _open(self, pool: Pool, origin: Origin, phases: PhaseTimer) -> Connection:
        phases.enter("connect")
        tls = self._trusted() if origin.tls else None
        try:
            return await connect(origin, self._resolver, tls, functools.partial(Connection, origin, pool), phases)
        except (OSError, UnicodeError) as error:
            trouble = unconnected(error)
        pool.failed += 1
        # Outside the handler: the system's error may contain too much, and must not be chained to ours.
        raise trouble

    def _trusted(self) -> ssl.SSLContext:
        """Return the TLS context to use now."""
        return tls_context(self._authority) if self._authority is not None else system_tls()

    def _new_pool(self) -> Pool:
        if self._pool is not None:
            self._inherited.append(
                self._pool
            )  # the parent's: dropping it would close sockets that the parent still uses
        self._pool = Pool(self._profile)
        return self._pool

    async def aclose(self) -> None:
        """Close all connections."""
        if self._pool is not None and self._pool.forks == Forks.count:
            await self._pool.aclose()
