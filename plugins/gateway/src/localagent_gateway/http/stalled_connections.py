"""Stalled connections: those of clients that do not read their answers, and those from which the gateway does not read.

Connections of clients that do not read are closed. All connections with unread data are checked once a second: a timer
for every write would cost more than the write.

aiohttp stops reading from a client that sends too much: more than 32 waiting requests, or half a MiB of a body while
another request is being answered. That bounds the memory that a client can use. But it also hides that such a client
has disconnected, because the end of the connection comes after the unread bytes. The system still knows. One system
call asks about all such connections, every 25 ms, and only while there are any.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, Protocol

LOOK_AT_READERS_SECONDS = 1.0
LEAST_BYTES = 16 * 1024
"""Bytes that a client has to read within ``send_timeout``, if as many are left. Otherwise a client that reads one byte
at a time could hold an answer, and a connection, for ever."""
LOOK_FOR_LEAVING_SECONDS = 0.025
LEAVING = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
"""Events of a client that has closed its side: Linux's name and the portable one. Errors are always reported."""


class Written(Protocol):
    """A connection that counts the bytes it was given to write.

    Attributes:
        written: Bytes so far, including those that the client has not read.
    """

    written: int


class Mark:
    """One connection with unread data.

    Args:
        connection: Counts the written bytes.
        taken: Bytes that the client had read at ``since``.
        since: Loop time in seconds at which the client's time limit starts.
    """

    __slots__ = ("connection", "since", "taken")

    def __init__(self, connection: Written, taken: int, since: float) -> None:
        self.connection = connection
        self.taken = taken
        self.since = since


class SlowReaders:
    """The connections with unread data.

    Args:
        loop: The event loop.
        limit: Seconds in which a client has to read ``LEAST_BYTES``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._marks: dict[asyncio.Transport, Mark] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: asyncio.Transport, connection: Written) -> None:
        """Watch a connection until its client has read everything; idempotent."""
        if transport in self._marks:
            return
        taken = connection.written - transport.get_write_buffer_size()
        self._marks[transport] = Mark(connection, taken, self._loop.time())
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_AT_READERS_SECONDS, self._look)

    def close(self) -> None:
        """Stop watching."""
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
    """The connections from which the gateway does not read now.

    On systems without ``poll`` (Windows) none is watched: there a disconnect is noticed when reading continues.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transports: dict[int, asyncio.Transport] = {}
        self._poll: Any = select.poll() if hasattr(select, "poll") else None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """The number of watched connections."""
        return len(self._transports)

    def enter(self, transport: asyncio.Transport) -> int:
        """Start watching a connection and return its descriptor; idempotent."""
        descriptor: int = transport.get_extra_info("socket").fileno()
        if self._poll is not None and descriptor >= 0:
            self._transports[descriptor] = transport
            self._poll.register(descriptor, LEAVING)
            if self._timer is None:
                self._timer = self._loop.call_later(LOOK_FOR_LEAVING_SECONDS, self._look)
        return descriptor

    def leave(self, descriptor: int) -> None:
        """Stop watching a connection; must be called before its descriptor is closed."""
        if self._transports.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def close(self) -> None:
        """Stop watching."""
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
