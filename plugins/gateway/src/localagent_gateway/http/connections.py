"""Creates, counts and watches the connections of clients.

aiohttp's server does not report when the last connection is closed. It does not notice a disconnect while it does not
read, and it closes a connection that was idle for too long even if a request has just arrived.
"""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Any

from aiohttp import web

from localagent_gateway.descriptors import SHORT, descriptor_limit
from localagent_gateway.errors import Busy
from localagent_gateway.http.malformed import Connection
from localagent_gateway.http.stalled_connections import UnreadClients

log = logging.getLogger("localagent.gateway")

KEPT_FREE = 16  # free descriptors; when fewer are left, connections are closed to make room for new ones
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AFTER_A_READ = 0.001  # seconds; not 0, because uvloop runs callbacks that are due before it reads


class WatchedConnection(Connection):
    """A connection that notices a disconnect even while the gateway does not read from it.

    A connection that was idle for too long is read once more before it is closed: on a busy machine, the timeout may
    have expired and a request may have arrived before the event loop notices either.

    Args:
        server: The server.
        unread: Watches the connections from which the gateway does not read.
        options: Options of aiohttp's connection.

    Attributes:
        written: Bytes that were passed to the transport so far.
    """

    __slots__ = ("_late", "_unread", "_watched", "written")

    def __init__(self, server: web.Server, unread: UnreadClients, **options: Any) -> None:
        super().__init__(server, **options)
        self.written = 0
        self._late = False
        self._unread = unread
        self._watched = -1

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop watching the connection while its descriptor is still open."""
        self._unread.leave(self._watched)
        super().connection_lost(exc)

    def _process_keepalive(self) -> None:
        late = self._loop.time() >= self._next_keepalive_close_time and not self._late
        self._late = late
        if late:
            self._keepalive_handle = self._loop.call_later(AFTER_A_READ, self._process_keepalive)
        else:
            super()._process_keepalive()

    def _pause_transport_reading(self) -> None:
        super()._pause_transport_reading()
        if self.transport is not None and not self.transport.is_closing():
            self._watched = self._unread.enter(self.transport)

    def _resume_transport_reading(self) -> None:
        self._unread.leave(self._watched)
        self._watched = -1
        super()._resume_transport_reading()


class CountedServer(web.Server):
    """aiohttp's low-level server.

    When the limit of connections or descriptors is reached, the connection that has waited for its client the longest
    is closed. If none is waiting, the first request of the new connection is refused, or the connection itself if no
    descriptor is free.

    Args:
        handler: Answers requests.
        malformed: Answers malformed requests; gets the error, and method and path as far as they are known.
        most: The most connections.
        options: Options of aiohttp's connections.

    Attributes:
        most: The most connections.
        open: The number of open connections, idle ones included.
        malformed: Answers malformed requests.
        none: Set while no connection is open.
        unread: The connections from which the gateway does not read now.
    """

    def __init__(self, handler: Any, malformed: Any, most: int, **options: Any) -> None:
        super().__init__(handler, **options)
        self.malformed = malformed
        self.most = most
        self.open = 0
        self._waiting: dict[web.RequestHandler, None] = {}  # in the order in which they started to wait
        self._surplus: set[web.RequestHandler] = set()  # beyond the limit: their first request is refused
        self._descriptors = descriptor_limit() - KEPT_FREE
        self.unread = UnreadClients(self._loop)
        self.none = asyncio.Event()
        self.none.set()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return WatchedConnection(self, self.unread, loop=self._loop, **self._kwargs)

    def works(self, handler: web.RequestHandler) -> None:
        """Record that a connection no longer waits for its client."""
        self._waiting.pop(handler, None)

    def waits(self, handler: web.RequestHandler) -> None:
        """Record that a connection waits for its client: for a request, or for the body of one."""
        if handler.transport is not None:
            self._waiting[handler] = None

    def make_room(self) -> bool:
        """Close the connection that has waited the longest; return whether there was one.

        A connection whose client has already sent something is skipped: on a busy machine a request and many more
        connections may arrive before the event loop reads the request.
        """
        handler = next((waiting for waiting in self._waiting if not _has_sent(waiting.transport)), None)
        if handler is None:
            return False
        del self._waiting[handler]
        transport = handler.transport
        handler.force_close()
        if transport is not None:
            transport.abort()  # at once, even if its client has not read all
        return True

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close all connections."""
        await super().shutdown(timeout)
        self.unread.close()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection, and make room for it."""
        self.open += 1
        self.none.clear()
        super().connection_made(handler, transport)
        descriptor = transport.get_extra_info("socket").fileno()  # the lowest that was free
        short = descriptor >= self._descriptors
        if (short or self.open > self.most) and not self.make_room():
            if short:
                transport.write(FULL)
                handler.force_close()
                return
            self._surplus.add(handler)
        self._waiting[handler] = None

    def refusal(self, handler: web.RequestHandler) -> Busy | None:
        """Return why the request of a connection beyond the limit is refused; None if the connection has a place."""
        if handler not in self._surplus or self.open <= self.most:
            return None
        return Busy("The gateway has too many connections.", hint="Send the request again.", retry_after=1.0)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Stop counting a connection."""
        self._waiting.pop(handler, None)
        self._surplus.discard(handler)
        super().connection_lost(handler, exc)
        self.open -= 1
        if not self.open:
            self.none.set()


class AcceptErrors:
    """Handles the event loop's errors in accepting until closed; passes all others on to the previous handler.

    When no descriptor is left, the event loop stops accepting for a second and tries again. This handler closes a
    connection that waits for its client, so that the next try succeeds.

    Args:
        loop: The event loop.
        make_room: Closes a connection; returns whether there was one to close.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make_room: Callable[[], bool]) -> None:
        self._loop = loop
        self._make_room = make_room
        self._former = loop.get_exception_handler()
        loop.set_exception_handler(self._heard)

    def close(self) -> None:
        """Restore the previous handler."""
        if self._loop.get_exception_handler() == self._heard:
            self._loop.set_exception_handler(self._former)

    def _heard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in SHORT and "socket" in context:
            log.warning("No descriptor is left for a new connection. Raise the limit of open files: ulimit -n.")
            self._make_room()
        elif self._former is not None:
            self._former(loop, context)
        else:
            loop.default_exception_handler(context)


def _has_sent(transport: asyncio.Transport | None) -> bool:
    """Return whether a client has sent unread bytes or is leaving, so that its connection is not idle."""
    if transport is None or transport.is_closing():
        return True
    descriptor = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
