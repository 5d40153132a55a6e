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

    It is made when first needed, and made again in a forked child, where the parent's sockets are left alone.

    Args:
        resolver: Resolves names; None means the system's.
        dns_ttl: Seconds that the address of a name is remembered; a failure to connect ends it at once.

    Attributes:
        counts: What became of its connections so far.
        keepalive: Seconds that an idle connection is kept.
        on_opening: Told the address when a request opens a connection because no kept one will do.
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
        # aiohttp repeats a GET itself when a kept connection breaks; what is repeated is decided above transports.
        session._retry_connection = False
        return session

    def _mine(self) -> Connector | None:
        """Return the connector, unless it is the one of a parent process."""
        return self._connector if self._forks == Forks.count else None

    def keep_for(self, seconds: float) -> None:
        """Keep idle connections for this long from now on, also those that are idle now."""
        self.keepalive = seconds
        if (connector := self._mine()) is not None:
            connector.keep_for(seconds)

    def idle(self) -> int:
        """Return how many connections wait for the next request."""
        connector = self._mine()
        return connector.idle() if connector is not None else 0

    def drop_idle(self) -> None:
        """Close the connections that wait for the next request."""
        if (connector := self._mine()) is not None:
            connector.drop_idle()

    async def prepare(self, address: URL, tls: ssl.SSLContext | bool) -> None:
        """Have a connection ready for the next request: connected, TLS included, nothing sent.

        Args:
            address: Where to.
            tls: Whom to trust, as aiohttp has it.

        Raises:
            aiohttp.ClientError: There is none to be had.
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
