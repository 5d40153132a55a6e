"""Makes the connections of clients, counts them and watches them.

aiohttp's server tells nobody when the last one is gone, it does not notice a leaving while it does not read, and it
closes a connection that was idle for too long over a request that has arrived.
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

KEPT_FREE = 16  # descriptors below the system's limit from which on connections are closed for new ones
FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
AFTER_A_READ = 0.001  # seconds; more than none, because uvloop runs what is due at once before it reads


class WatchedConnection(Connection):
    """A connection whose client is also seen to leave while nothing is read from it.

    Once it was idle for too long it is read from once more before it is closed: on a busy machine the time may be up,
    and a request in the socket, before the event loop comes to look at either.

    Args:
        server: The server.
        unread: Where connections are watched from which nothing is read.
        options: Those of aiohttp.

    Attributes:
        written: Bytes that were given to the transport so far.
    """

    __slots__ = ("_late", "_unread", "_watched", "written")

    def __init__(self, server: web.Server, unread: UnreadClients, **options: Any) -> None:
        super().__init__(server, **options)
        self.written = 0
        self._late = False
        self._unread = unread
        self._watched = -1

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection; its descriptor is still open."""
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

    When places or descriptors are short, the connection is closed that has waited for its client for longest. Where
    none waits, the first request of a new one is refused, or the connection itself where no descriptor is to be had.

    Args:
        handler: Answers requests.
        malformed: Answers what is not a request: with an error, and method and path as far as they are known.
        most: The most connections.
        options: Those of aiohttp.

    Attributes:
        most: The most connections.
        open: The connections that are open, idle ones included.
        malformed: Answers what is not a request.
        none: Set while none is open.
        unread: Those from which nothing is read now.
    """

    def __init__(self, handler: Any, malformed: Any, most: int, **options: Any) -> None:
        super().__init__(handler, **options)
        self.malformed = malformed
        self.most = most
        self.open = 0
        self._waiting: dict[web.RequestHandler, None] = {}  # in the order in which they began to wait
        self._surplus: set[web.RequestHandler] = set()  # for which there was no place: their request hears of it
        self._descriptors = descriptor_limit() - KEPT_FREE
        self.unread = UnreadClients(self._loop)
        self.none = asyncio.Event()
        self.none.set()

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return WatchedConnection(self, self.unread, loop=self._loop, **self._kwargs)

    def works(self, handler: web.RequestHandler) -> None:
        """Note that a connection no longer waits for its client."""
        self._waiting.pop(handler, None)

    def waits(self, handler: web.RequestHandler) -> None:
        """Note that a connection waits for its client: for a request, or for the body of one."""
        if handler.transport is not None:
            self._waiting[handler] = None

    def make_room(self) -> bool:
        """Close the connection that has waited for longest; return whether there was one.

        One whose client has sent something waits for us. It is passed over: on a busy machine a request may have
        arrived with its connection, and many more connections behind it, before the event loop reads it.
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
        """Return why the request of a connection is refused for which there was no place; None where there is one."""
        if handler not in self._surplus or self.open <= self.most:
            return None
        return Busy("There is no place for another connection.", hint="Send the request again.", retry_after=1.0)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Count it no longer."""
        self._waiting.pop(handler, None)
        self._surplus.discard(handler)
        super().connection_lost(handler, exc)
        self.open -= 1
        if not self.open:
            self.none.set()


class AcceptErrors:
    """Hears of the errors of an event loop while it is open; all but those about accepting go where they went before.

    The event loop stops accepting for a second when no descriptor is left, and tries again. Here a connection is closed
    that waits for its client, so that the next try succeeds.

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
        """Hear of them no longer."""
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
    """Say whether a client has sent what was not read yet, or is leaving: its connection is not idle."""
    if transport is None or transport.is_closing():
        return True
    descriptor = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
