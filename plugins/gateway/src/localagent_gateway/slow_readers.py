"""Ends connections whose client does not read on while an answer waits for it.

One look a second at all of them: a timer for every write would cost more than the write.
"""

from __future__ import annotations

import asyncio

LOOK_SECONDS = 1.0


class Mark:
    """One answer on its way.

    Attributes:
        since: Loop time at which the write began that is under way; 0.0 while none is.
        transport: The connection.
    """

    __slots__ = ("since", "transport")

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        self.transport = transport
        self.since = 0.0


class SlowReaders:
    """The answers on their way.

    Args:
        loop: The event loop.
        limit: Seconds that a write may take.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._marks: set[Mark] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, transport: asyncio.BaseTransport | None) -> Mark:
        """Begin to watch an answer."""
        mark = Mark(transport)
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
            if 0.0 < mark.since < late and isinstance(mark.transport, asyncio.Transport):
                mark.transport.abort()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._marks else None
