"""The connections of one transport: hands them out, keeps idle ones, and counts them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from localagent.records import PoolProfile, PoolStats
from localagent.timing import Forks, PhaseTimer
from localagent_connect_aiohttp import Permits
from localagent_connect_fast.origins import Origin

if TYPE_CHECKING:
    from localagent_connect_fast.connection import Connection

READ = 64 * 1024


class Pool:
    """Connections of one event loop in one process; the most recently used one is used next.

    Args:
        profile: The maximum number of connections, and how long they are kept.

    Attributes:
        permits: Slots, one for each request in flight, handed out first come, first served.
        forks: Identifies the process that the connections belong to.
        opened: Number of connections that were opened.
        handshakes: Number of TLS handshakes among these.
        reused: Number of requests sent over a connection that had served before.
        failed: Number of connections that could not be opened.
    """

    def __init__(self, profile: PoolProfile) -> None:
        self.loop = asyncio.get_running_loop()
        self.permits = Permits(profile.limit)
        self.forks = Forks.count
        self.opened = self.handshakes = self.reused = self.failed = 0
        self._waited = 0.0
        self._keepalive = profile.keepalive
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None
        self._buffer = memoryview(bytearray(READ))

    def buffer(self) -> memoryview:
        """Return the buffer for a connection's reads.

        All connections share one buffer: an event loop fills it, and it is parsed before the loop reads from another
        connection. On Windows the default loop fills buffers in the background, so each connection has its own.
        """
        return self._buffer if sys.platform != "win32" else memoryview(bytearray(READ))

    def stats(self) -> PoolStats:
        """Return the current statistics."""
        return PoolStats(
            active=self.permits.used,
            idle=len(self._idle),
            waiting=self.permits.waiting,
            limit=self.permits.limit,
            opened=self.opened,
            handshakes=self.handshakes,
            reused=self.reused,
            failed=self.failed,
            waited=self._waited,
        )

    async def wait(self, phases: PhaseTimer) -> None:
        """Wait for a slot and take it."""
        phases.enter("pool")
        began = self.loop.time()
        try:
            await self.permits.wait()
        finally:
            self._waited += self.loop.time() - began

    def take(self, origin: Origin) -> Connection | None:
        """Return a kept connection, or None."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            in_time = self.loop.time() < connection.kept_since + self._keepalive
            if in_time and connection.origin == origin and not connection.is_stale():
                self.reused += 1
                connection.reused = True
                return connection
            connection.abort()  # too old, closed by the server, or the instance has a new address
        return None

    def make_room(self) -> None:
        """Close the least recently used idle connection if a new one would exceed the limit."""
        if self._idle and self.permits.used + len(self._idle) > self.permits.limit:
            self._idle.pop(0).abort()

    def keep(self, connection: Connection) -> None:
        """Take back a connection that can serve again."""
        if self._closed is not None or self._keepalive <= 0:
            connection.abort()
            return
        connection.kept_since = self.loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = self.loop.call_at(connection.kept_since + self._keepalive, self._reap)

    def keep_no_longer(self, seconds: float) -> None:
        """Keep idle connections for at most this many seconds from now on; never longer than before."""
        if seconds < self._keepalive:
            self._keepalive = seconds
            if self._reaper is not None:
                self._reaper.cancel()
            self._reap()

    def drop_idle(self, origin: Origin) -> None:
        """Close the idle connections to an origin."""
        for connection in [one for one in self._idle if one.origin == origin]:
            self._idle.remove(connection)
            connection.abort()

    def _reap(self) -> None:
        """Close connections that were idle for too long. Using one does not move the timer: that would cost more."""
        self._reaper = None
        now = self.loop.time() + 1e-3  # a loop may call early by the resolution of its clock
        while self._idle and self._idle[0].kept_since + self._keepalive <= now:
            self._idle.pop(0).abort()
        if self._idle:
            self._reaper = self.loop.call_at(self._idle[0].kept_since + self._keepalive, self._reap)

    def made(self, connection: Connection) -> None:
        """Count a new connection."""
        self.opened += 1
        self.handshakes += connection.origin.tls
        self._open.add(connection)

    def useless(self, connection: Connection) -> None:
        """Do not reuse this connection."""
        if connection in self._idle:
            self._idle.remove(connection)

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self.useless(connection)
        self._open.discard(connection)
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    async def aclose(self) -> None:
        """Close all connections; return once they are closed."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        self._closed = self._closed or self.loop.create_future()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await self._closed
