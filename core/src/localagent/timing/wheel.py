"""One timer of the event loop for the timers of all calls.

Every call has a deadline, and almost none is reached. Arming and disarming an asyncio timer costs about 2 us, a tenth
of the core's whole work for a call. A wheel groups the timers of calls by the time slot in which they are due, and
keeps one timer of the event loop for the earliest slot.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import Protocol

FINE = 64.0
"""Slots per second: a timer fires at most 16 ms late, and never early, except for the loop's clock resolution."""
FAR = 60.0
"""Seconds from now after which slots are a second long, so that there are never more than a few thousand."""


class Due(Protocol):
    """Something that a wheel calls when it is due."""

    def fire(self) -> None:
        """Do what is due."""


Slot = dict[Due, None]


class Wheel:
    """The timers of one event loop.

    Args:
        loop: Its ``time()`` is the clock.
    """

    __slots__ = ("_handle", "_loop", "_next", "_slots", "_times")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[float, Slot] = {}
        self._times: list[float] = []
        self._next = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def add(self, at: float, due: Due, now: float) -> Slot:
        """Fire something at a time of the loop's clock, or a little later.

        Args:
            at: When.
            due: What is fired.
            now: The clock's time, or a little less: the distance to ``at`` decides how fine the slot is.

        Returns:
            The slot; removing ``due`` from it disarms.
        """
        time = int(at) + 1.0 if at - now > FAR else (int(at * FINE) + 1) / FINE
        slot = self._slots.get(time)
        if slot is None:
            slot = self._slots[time] = {}
            heapq.heappush(self._times, time)
            if time < self._next:
                self._arm(time)
        slot[due] = None
        return slot

    def close(self) -> None:
        """Disarm everything."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._slots.clear()
        self._times.clear()
        self._next = math.inf

    def _arm(self, time: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next = time
        self._handle = self._loop.call_at(time, self._turn)

    def _turn(self) -> None:
        """Fire what is due, and arm for the next slot that is not empty."""
        self._handle = None
        self._next = math.inf
        # A loop may call a little early, by the resolution of its clock.
        now = self._loop.time() + 1e-3
        while self._times and (self._times[0] <= now or not self._slots[self._times[0]]):
            for due in list(self._slots.pop(heapq.heappop(self._times))):
                try:
                    due.fire()
                except Exception as error:  # a failure in one call's timeout must not affect other calls
                    self._loop.call_exception_handler({"message": "A timer failed.", "exception": error})
        if self._times and self._times[0] < self._next:
            self._arm(self._times[0])
