"""Connections that stall: of clients that do not read what they are sent, and of clients from which nothing is read.

Clients that do not read: their connections are closed. One look a second at all that have something left to read: a
timer for every write would cost more than the write.

Clients from which nothing is read: aiohttp stops reading from a client that sends more than is asked for: requests
behind 32 that wait, or half a MiB of a body behind a request that is being answered. That bounds what a client can make
the gateway hold. But when such a client leaves, that is not noticed either: it stands behind the bytes that are not
read. The system knows it anyway. All of them are asked about in one system call, every 25 ms, and only while
there are any.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, Protocol

LOOK_AT_READERS_SECONDS = 1.0
LEAST_BYTES = 16 * 1024
"""What a client has to take within ``send_timeout``, if as much is left: who takes a byte now and then holds an answer,
and a place, for as long as it likes."""
LOOK_FOR_LEAVING_SECONDS = 0.025
LEAVING = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
"""That the client has closed its side, Linux's name and everybody's; errors are reported without being asked for."""


class Written(Protocol):
    """A connection that counts what it was given to write.

    Attributes:
        written: Bytes so far, those included that the client has not taken.
    """

    written: int


class Mark:
    """One connection with something left to read.

    Args:
        connection: Counts what was written.
        taken: Bytes that the client had taken at ``since``.
        since: Loop time from which on the client's time counts.
    """

    __slots__ = ("connection", "since", "taken")

    def __init__(self, connection: Written, taken: int, since: float) -> None:
        self.connection = connection
        self.taken = taken
        self.since = since


class SlowReaders:
    """The connections with something left to read.

    Args:
        loop: The event loop.
        limit: Seconds in which a client has to take ``LEAST_BYTES``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._marks: dict[asyncio.Transport, Mark] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: asyncio.Transport, connection: Written) -> None:
        """Watch a connection until its client has taken all; a second time changes nothing."""
        if transport in self._marks:
            return
        taken = connection.written - transport.get_write_buffer_size()
        self._marks[transport] = Mark(connection, taken, self._loop.time())
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_AT_READERS_SECONDS, self._look)

    def close(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._marks.clear()

    def _look(self) -> None:
        now = self._loop.time()
        for transport, mark in list(self._marks.items()):
            left = transport.get_write_buffer_size()
            taken = mark.connection.written - left
            if not left:
                del self._marks[transport]
            elif taken - mark.taken >= LEAST_BYTES:
                mark.taken, mark.since = taken, now
            elif mark.since < now - self._limit:
                del self._marks[transport]
                transport.abort()
        self._timer = self._loop.call_later(LOOK_AT_READERS_SECONDS, self._look) if self._marks else None


class UnreadClients:
    """The connections from which nothing is read now.

    On systems without ``poll`` (Windows) none is watched: there a leaving is noticed when reading goes on.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transports: dict[int, asyncio.Transport] = {}
        self._poll: Any = select.poll() if hasattr(select, "poll") else None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """The number of connections that are watched."""
        return len(self._transports)

    def enter(self, transport: asyncio.Transport) -> int:
        """Begin to watch a connection, whose descriptor is returned; a second time changes nothing."""
        descriptor: int = transport.get_extra_info("socket").fileno()
        if self._poll is not None and descriptor >= 0:
            self._transports[descriptor] = transport
            self._poll.register(descriptor, LEAVING)
            if self._timer is None:
                self._timer = self._loop.call_later(LOOK_FOR_LEAVING_SECONDS, self._look)
        return descriptor

    def leave(self, descriptor: int) -> None:
        """Watch it no longer; to be called before the descriptor is closed."""
        if self._transports.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def close(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for descriptor, _ in self._poll.poll(0):
            transport = self._transports[descriptor]
            self.leave(descriptor)
            transport.abort()
        if self._transports:
            self._timer = self._loop.call_later(LOOK_FOR_LEAVING_SECONDS, self._look)
