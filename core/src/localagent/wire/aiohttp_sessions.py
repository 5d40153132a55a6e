"""The aiohttp sessions of one event loop, and what their connector tells about connections."""

from __future__ import annotations

import asyncio
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from localagent.errors import Phase
    from localagent.timer import Watch

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


class Exchange:
    """What the parts of aiohttp tell the request that they work for.

    Attributes:
        clocks: The request's clocks.
        sending: The phase that begins when there is a connection.
        reused: Whether it went over a connection that had served before.
        transport: The connection, while a large body is written.
    """

    __slots__ = ("clocks", "reused", "sending", "transport")

    def __init__(self, clocks: Watch, sending: Phase) -> None:
        self.clocks = clocks
        self.sending: Phase = sending
        self.reused = True
        self.transport: asyncio.Transport | None = None


current: ContextVar[Exchange] = ContextVar("localagent_exchange")


class Resolver(AbstractResolver):
    """Resolves names through another resolver; says when that phase begins and ends."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Resolve a name; see aiohttp's ``AbstractResolver``."""
        clocks = current.get().clocks
        clocks.rename("dns")
        try:
            return await self._inner.resolve(host, port, family)
        finally:
            clocks.rename("connect")

    async def close(self) -> None:
        """Close the other resolver."""
        await self._inner.close()


class Connector(aiohttp.TCPConnector):
    """Says when a request needs a new connection: subclasses are asked to make one, which is how aiohttp has it."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        exchange = current.get()
        exchange.reused = False
        exchange.clocks.enter("connect")
        protocol = await super()._create_connection(req, traces, timeout)
        exchange.clocks.enter(exchange.sending)
        return protocol


class Sessions:
    """The aiohttp sessions of one event loop: one that keeps connections, and one that makes a new one every time.

    The second serves the safe retry on a stale connection. Both are made when first needed, and made anew in a forked
    child, where the parent's sockets are left alone.

    Args:
        resolver: Resolves names; None means the system's.
        keepalive: Seconds that an idle connection is kept.
    """

    def __init__(self, *, resolver: AbstractResolver | None = None, keepalive: float = 15.0) -> None:
        self._resolver = resolver
        self._keepalive = keepalive
        self._forks = Forks.count
        self._made: dict[bool, aiohttp.ClientSession] = {}

    def get(self, *, fresh: bool = False) -> aiohttp.ClientSession:
        """Return the session; ``fresh`` the one whose connections are never reused."""
        session = self._made.get(fresh)
        if session is None or self._forks != Forks.count:
            session = self._make(fresh)
        return session

    def _make(self, fresh: bool) -> aiohttp.ClientSession:
        if self._forks != Forks.count:
            self._made.clear()
            self._forks = Forks.count
        options: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": self._keepalive}
        connector = Connector(
            limit=0,
            resolver=Resolver(self._resolver or aiohttp.ThreadedResolver()),
            ttl_dns_cache=30,
            **options,
        )
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

    async def aclose(self) -> None:
        """Close all connections."""
        if self._forks == Forks.count:
            for session in self._made.values():
                await session.close()
        self._made.clear()
