"""The services that all parts of a client share: time, timers, randomness and background work."""

from __future__ import annotations

import asyncio
import random
import time

from localagent.timing.background import Background
from localagent.timing.forks import Forks
from localagent.timing.timer import NEVER, Timer
from localagent.timing.wheel import Wheel


class LoopServices:
    """The services of one client, which belongs to one event loop and one process.

    Args:
        seed: Seeds the source of randomness; None takes a seed from the system.

    Attributes:
        loop: The event loop.
        clock: Returns monotonic seconds, the event loop's.
        wall_time: Returns the seconds since the epoch; the only place that reads them.
        random: The source of randomness.
        wheel: The wheel in which timers are armed.
        background: Work outside the path of requests.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._forks = Forks.count
        # The clock of uvloop counts milliseconds and stands still during a turn of the loop.
        coarse = type(self.loop).__module__.partition(".")[0] == "uvloop"
        self.clock = time.monotonic if coarse else self.loop.time
        self.wall_time = time.time
        self.random = random.Random(seed)
        self.wheel = Wheel(self.loop)
        self.background = Background(self.loop)

    @property
    def forked(self) -> bool:
        """Whether this is a forked child of the process that the services belong to."""
        return self._forks != Forks.count

    @property
    def usable(self) -> bool:
        """Whether the event loop is open, and belongs to this process."""
        return not self.loop.is_closed() and not self.forked

    def timer(self, deadline: float = NEVER) -> Timer:
        """Return a new timer.

        Args:
            deadline: When it fires, on ``clock``.
        """
        return Timer(self.loop, deadline, self.wheel)
