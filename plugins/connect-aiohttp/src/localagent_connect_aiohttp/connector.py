"""aiohttp's connector, extended: it reports progress to the request and counts connections."""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from localagent.timing import resolve_name
from localagent_connect_aiohttp.idle_connections import is_stale
from localagent_connect_aiohttp.protocol import StrictProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from yarl import URL

    from localagent.errors import Phase


class Phases(Protocol):
    """Receives the phases of a request: ``localagent.timing.PhaseTimer``, or ``Nobody``."""

    phase: Phase

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""


class Nobody:
    """Receives phases that no timeout limits, and ignores them."""

    phase: Phase = "connect"

    def enter(self, phase: Phase) -> None:
        """Do nothing."""


class Counts:
    """Connection counts of one transport; see ``localagent.records.PoolStats``."""

    __slots__ = ("failed", "handshakes", "opened", "reused")

    def __init__(self) -> None:
        self.opened = self.handshakes = self.reused = self.failed = 0


class Exchange:
    """State that aiohttp's components share with the request they work for.

    Attributes:
        phases: The request's phases.
        sending: The phase that begins once there is a connection.
        fresh: Whether the request needs a new connection.
        reused: Whether the request used an existing connection.
        resolved: Whether a name was resolved for the request.
        transport: The connection while a large body is written.
        ahead: True when this is not a request, but opens a connection for a later one.
    """

    __slots__ = ("fresh", "phases", "resolved", "reused", "sending", "transport")

    ahead = False

    def __init__(self, phases: Phases, sending: Phase, *, fresh: bool = False) -> None:
        self.phases = phases
        self.sending: Phase = sending
        self.fresh = fresh
        self.reused = True
        self.resolved = False
        self.transport: asyncio.Transport | None = None


class Opening(Exchange):
    """Opens a connection for a later request."""

    __slots__ = ()

    ahead = True


current: ContextVar[Exchange] = ContextVar("localagent_exchange")


class Resolver(AbstractResolver):
    """Resolves names through another resolver and reports when that phase begins and ends.

    Attributes:
        names: All names that it resolved; addresses are not included.
    """

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner
        self.names: set[str] = set()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Resolve a name; see aiohttp's ``AbstractResolver``."""
        exchange = current.get()
        exchange.resolved = True
        self.names.add(host)
        phases = exchange.phases
        phases.phase = "dns"
        try:
            return await self._inner.resolve(host, port, family)
        finally:
            phases.phase = "connect"

    async def close(self) -> None:
        """Close the other resolver."""
        await self._inner.close()


class _Names:
    """Resolves names for aiohttp's resolver in place of the event loop."""

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> list[Any]:
        return await resolve_name(host, port, **options)

    async def getnameinfo(self, address: Any, flags: int = 0) -> tuple[str, str]:
        return await asyncio.get_running_loop().getnameinfo(address, flags)  # numeric addresses: no lookup


def system_resolver() -> AbstractResolver:
    """Return a resolver that uses the system's, in threads that nothing else uses."""
    return aiohttp.ThreadedResolver(_Names())  # type: ignore[arg-type]


class Connector(aiohttp.TCPConnector):
    """Reports when a request needs a new connection, and never reuses a stale one.

    aiohttp calls overridden methods for both.

    Args:
        resolver: Resolves names.
        counts: Counts connections.
        on_opening: Called with the address when a request needs a new connection although it did not ask for one.
        options: aiohttp's own options.
    """

    def __init__(
        self, resolver: Resolver, counts: Counts, on_opening: Callable[[URL], None] | None = None, **options: Any
    ) -> None:
        super().__init__(resolver=resolver, **options)
        self._factory = functools.partial(StrictProtocol, loop=self._loop)  # type: ignore[assignment]
        self._names = resolver.names
        self._counts = counts
        self._on_opening = on_opening

    async def _get(self, key: Any, traces: Any) -> Any:
        """Return a kept connection that can be used, or None; see aiohttp's ``BaseConnector``."""
        if current.get().fresh:
            return None
        while True:
            connection = await super()._get(key, traces)
            if connection is None or (protocol := connection.protocol) is None:
                return connection
            if not (protocol.should_close or is_stale(protocol.transport)):
                return connection
            protocol.abort()
            connection.close()

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        exchange = current.get()
        exchange.reused = False
        exchange.phases.enter("connect")
        if self._on_opening is not None and not (exchange.ahead or exchange.fresh):
            self._on_opening(req.url)
        try:
            protocol = await self._connected(req, traces, timeout)
        except (aiohttp.ClientError, OSError):
            self._counts.failed += 1
            raise
        self._counts.opened += 1
        self._counts.handshakes += req.is_ssl()
        exchange.phases.enter(exchange.sending)
        return protocol

    async def _connected(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        """Connect. If that fails at a cached address, resolve the name again and retry once."""
        try:
            return await self._forgetful(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            if current.get().resolved or req.url.raw_host not in self._names:
                raise
            return await self._forgetful(req, traces, timeout)

    async def _forgetful(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        try:
            return await super()._create_connection(req, traces, timeout)
        except BaseException:  # also the cancellation by the connect timeout when a server is gone
            self.clear_dns_cache(req.url.raw_host, req.port)
            raise

    def keep_for(self, seconds: float) -> None:
        """Keep idle connections for this many seconds; with 0 a connection is closed after its answer."""
        self._keepalive_timeout = seconds
        self._force_close = seconds <= 0

    def idle(self) -> int:
        """Return how many connections are idle; aiohttp has no public count."""
        return sum(protocol.is_connected() for kept in self._conns.values() for protocol, _ in kept)

    def drop_idle(self) -> None:
        """Close the idle connections."""
        for kept in self._conns.values():
            for protocol, _ in kept:
                protocol.abort()  # which also makes aiohttp drop it
