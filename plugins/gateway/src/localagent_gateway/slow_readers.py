"""Ends connections whose client does not read on while an answer waits for it.

One look a second at all of them: a timer for every wait would cost more than the write.
"""

from __future__ import annotations

import asyncio

LOOK_SECONDS = 1.0


class Mark:
    """One answer that waits for its client.

    Args:
        transport: The connection.
        since: Loop time at which the answer began to wait for its client.
    """

    __slots__ = ("since", "transport")

    def __init__(self, transport: asyncio.Transport, since: float) -> None:
        self.transport = transport
        self.since = since


class SlowReaders:
    """The answers that wait for their clients.

    Args:
        loop: The event loop.
        limit: Seconds that an answer may wait.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._marks: set[Mark] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, transport: asyncio.Transport) -> Mark:
        """Begin to watch an answer that waits."""
        mark = Mark(transport, self._loop.time())
        self._marks.add(mark)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        return mark

    def leave(self, mark: Mark) -> None:
        """Watch it no longer."""
        self._marks.discard(mark)

    def close(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        late = self._loop.time() - self._limit
        for mark in self._marks:
            if mark.since < late:
                mark.transport.abort()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._marks else None
