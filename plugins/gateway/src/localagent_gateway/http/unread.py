"""Notices that clients leave from which nothing is read.

aiohttp stops reading from a client that sends more than is asked for: requests behind 32 that wait, or half a MiB of
a body behind a request that is being answered. That bounds what a client can make the gateway hold, but a leaving is
then not noticed either: it stands behind the bytes that are not read. The system knows it all the same.

All of them are asked about in one system call, every 25 ms, and only while there are any.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any

LOOK_SECONDS = 0.025
LEAVING = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0)
"""That the client has closed its side, Linux's name and everybody's; errors are told without being asked for."""


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
                self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
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
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
