"""The aiohttp session of one transport."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from localagent.records import PoolProfile
from localagent.timing import Forks
from localagent_connect_aiohttp.connector import (
    Connector,
    Counts,
    Nobody,
    Opening,
    Resolver,
    current,
    system_resolver,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohttp.abc import AbstractResolver
    from yarl import URL

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
USER_AGENT = "localagent"


class Sessions:
    """The aiohttp session of one transport, and its connections.

    The session is created when first needed, and again in a forked child, which leaves the parent's sockets alone.

    Args:
        resolver: Resolves names; None means the system's resolver.
        dns_ttl: Seconds that the address of a name is cached; a failure to connect drops it at once.

    Attributes:
        counts: Connection counts so far.
        keepalive: Seconds that an idle connection is kept.
        on_opening: Called with the address when a request opens a connection because no idle one can be used.
    """

    def __init__(self, *, resolver: AbstractResolver | None = None, dns_ttl: float = 30.0) -> None:
        self.counts = Counts()
        self.keepalive = PoolProfile().keepalive
        self.on_opening: Callable[[URL], None] | None = None
        self._resolver = resolver
        self._dns_ttl = dns_ttl
        self._forks = Forks.count
        self._made: aiohttp.ClientSession | None = None
        self._connector: Connector | None = None

    def get(self) -> aiohttp.ClientSession:
        """Return the session."""
        session = self._made
        return session if session is not None and self._forks == Forks.count else self._make()

    def _make(self) -> aiohttp.ClientSession:
        self._forks = Forks.count
        self._connector = Connector(
            Resolver(self._resolver or system_resolver()),
            self.counts,
            self.on_opening,
            limit=0,
            ttl_dns_cache=self._dns_ttl,
        )
        self._connector.keep_for(self.keepalive)
        self._made = session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )
        # aiohttp repeats a GET itself when a kept connection breaks; transports do not decide about retries.
        session._retry_connection = False
        return session

    def _mine(self) -> Connector | None:
        """Return the connector, unless it belongs to a parent process."""
        return self._connector if self._forks == Forks.count else None

    def keep_for(self, seconds: float) -> None:
        """Keep idle connections for this many seconds from now on, including those that are idle now."""
        self.keepalive = seconds
        if (connector := self._mine()) is not None:
            connector.keep_for(seconds)

    def idle(self) -> int:
        """Return the number of idle connections."""
        connector = self._mine()
        return connector.idle() if connector is not None else 0

    def drop_idle(self) -> None:
        """Close the idle connections."""
        if (connector := self._mine()) is not None:
            connector.drop_idle()

    async def prepare(self, address: URL, tls: ssl.SSLContext | bool) -> None:
        """Open a connection for the next request, including the TLS handshake, without sending anything.

        Args:
            address: The address to connect to.
            tls: The TLS context, or True for the system's authorities, as in aiohttp.

        Raises:
            aiohttp.ClientError: The connection could not be opened.
        """
        session = self.get()
        assert self._connector is not None
        request = aiohttp.ClientRequest("GET", address, loop=asyncio.get_running_loop(), session=session, ssl=tls)
        token = current.set(Opening(Nobody(), "first_token"))
        try:
            connection = await self._connector.connect(request, [], _NO_TIMEOUT)
        finally:
            current.reset(token)
        connection.release()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._made is not None and self._forks == Forks.count:
            await self._made.close()
        self._made = self._connector = None
