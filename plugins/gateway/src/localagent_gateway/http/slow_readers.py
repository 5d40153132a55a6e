"""Closes the connections of clients that do not read what they are sent.

One look a second at all that have something left to read: a timer for every write would cost more than the write.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

LOOK_SECONDS = 1.0
LEAST_BYTES = 16 * 1024
"""What a client has to take within ``send_timeout``, if as much is left: who takes a byte now and then holds an answer,
and a place, for as long as it likes."""


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
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

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
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._marks else None
