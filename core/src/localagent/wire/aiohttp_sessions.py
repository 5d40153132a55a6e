"""The aiohttp sessions of one event loop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import aiohttp

from localagent.wire.aiohttp_connector import Connector, Counts, Exchange, Nobody, Resolver, current, system_resolver

if TYPE_CHECKING:
    import ssl

    from aiohttp.abc import AbstractResolver
    from yarl import URL

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
USER_AGENT = "localagent"


class Forks:
    """How many forks lie between this process and the one that imported the module; asking the system costs a call."""

    count = 0

    @classmethod
    def forked(cls) -> None:
        """Count one more; runs in the child."""
        cls.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Forks.forked)


class Sessions:
    """The aiohttp sessions of one event loop: one that keeps connections, and one that makes a new one every time.

    The second serves the safe retry on a stale connection. Both are made when first needed, and made anew in a forked
    child, where the parent's sockets are left alone.

    Args:
        resolver: Resolves names; None means the system's.
        keepalive: Seconds that an idle connection is kept.
        dns_ttl: Seconds that the address of a name is remembered; a failure to connect ends it at once.

    Attributes:
        keepalive: Seconds that an idle connection is kept now; see ``shorten``.
    """

    def __init__(
        self, *, resolver: AbstractResolver | None = None, keepalive: float = 15.0, dns_ttl: float = 30.0
    ) -> None:
        self._resolver = resolver
        self.keepalive = keepalive
        self._dns_ttl = dns_ttl
        self._forks = Forks.count
        self._made: dict[bool, aiohttp.ClientSession] = {}
        self._connectors: dict[bool, Connector] = {}

    def get(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        """Return the session; ``fresh`` the one whose connections are never reused."""
        session = self._made.get(fresh)
        if session is None or self._forks != Forks.count:
            session = self._make(fresh)
        return session

    def _make(self, fresh: bool) -> aiohttp.ClientSession:
        if self._forks != Forks.count:
            self._made.clear()
            self._connectors.clear()
            self._forks = Forks.count
        options: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": self.keepalive}
        connector = Connector(
            Resolver(self._resolver or system_resolver()),
            limit=0,
            ttl_dns_cache=self._dns_ttl,
            **options,
        )
        self._connectors[fresh] = connector
        self._made[fresh] = aiohttp.ClientSession(
            connector=connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )
        return self._made[fresh]

    def idle(self, address: URL) -> int:
        """Return how many connections to the host and port of an address wait for the next request."""
        connector = self._connectors.get(False)
        return connector.idle(address) if connector is not None and self._forks == Forks.count else 0

    def has_idle(self) -> bool:
        """Say whether a connection, wherever to, waits for the next request."""
        connector = self._connectors.get(False)
        return connector is not None and self._forks == Forks.count and connector.has_idle()

    def shorten(self, keepalive: float) -> None:
        """Keep idle connections for at most this many seconds from now on."""
        if keepalive < self.keepalive:
            self.keepalive = keepalive
            if (connector := self._connectors.get(False)) is not None:
                connector.shorten(keepalive)

    async def prepare(self, address: URL, tls: ssl.SSLContext | bool, counts: Counts) -> None:
        """Have a connection ready for the next request: connected, TLS included, nothing sent.

        Args:
            address: Where to.
            tls: Whom to trust.
            counts: Counts it.

        Raises:
            aiohttp.ClientError: There is none to be had.
        """
        session = self.get()
        request = aiohttp.ClientRequest("GET", address, loop=asyncio.get_running_loop(), session=session, ssl=tls)
        token = current.set(Exchange(Nobody(), "ttft", counts))
        try:
            connection = await self._connectors[False].connect(request, [], _NO_TIMEOUT)
        finally:
            current.reset(token)
        connection.release()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._forks == Forks.count:
            for session in self._made.values():
                await session.close()
        self._made.clear()
        self._connectors.clear()
