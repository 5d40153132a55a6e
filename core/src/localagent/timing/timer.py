"""One timer per call: the deadline, the limit of the step under way, and the phases of the exchange.

Arming a timer of the event loop for every step would cost more than the steps. So a call owns one place in the wheel,
for the earliest time that anything could be over; when it fires it looks, and arms itself again if nothing is. It
cancels the task that waits inside the core, and only while it does: a consumer's own awaits are never cancelled. Where
nobody waits inside, it calls ``aside`` (a stream then aborts its source).

What is limited makes the error of its own lateness (``Limit``), so the timer only says whose a cancellation is.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from typing import Any, Protocol, Self

from localagent.errors import LocalAgentError, UpstreamTimeout
from localagent.timing.wheel import FAR, Slot, Wheel

NEVER = math.inf


class Limit(Protocol):
    """What may last only so long: a step, a phase of an exchange, a call."""

    def timeout_error(self) -> LocalAgentError:
        """Return the error of its time being up."""


class Cancellation(enum.Enum):
    """Whose a CancelledError is that the timer did not cause."""

    TASK_CANCELLED = enum.auto()
    """Somebody cancelled the task: the CancelledError goes on."""
    FOREIGN_CANCELLATION = enum.auto()
    """Nobody did: the task awaited something that was cancelled, which is a failure of the code that did so."""


class _CallDeadline:
    """The limit of a whole call."""

    def timeout_error(self) -> LocalAgentError:
        return UpstreamTimeout(
            "The call's time is up.", phase="total", hint="Pass a longer timeout.", code="deadline_exceeded"
        )


_CALL = _CallDeadline()


class Timer:
    """The timer of one call; see the module. As a context manager it is entered, and closed at the end.

    Args:
        loop: The running loop; its ``time()`` is the clock.
        deadline: Loop time at which the call is over, or ``NEVER``.
        wheel: The wheel of the loop's timers; None makes one for this timer alone.
        began: The loop's time, when it was just asked for.
    """

    __slots__ = ("_armed", "_began", "_cancelling", "_error", "_limit", "_loop", "_own", "_share", "_share_limit",
                 "_slot", "_task", "_wheel", "aside", "deadline", "until")  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deadline: float, wheel: Wheel | None = None, began: float | None = None
    ) -> None:
        self._loop = loop
        self._began = loop.time() if began is None else began
        self._own = wheel is None
        self._wheel = Wheel(loop) if wheel is None else wheel
        self._slot: Slot | None = None
        self._armed = NEVER
        self._share = NEVER
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self.deadline = deadline
        self.until = NEVER
        self._limit: Limit = _CALL
        self._share_limit: Limit = _CALL
        self._error: LocalAgentError | None = None
        self.aside: Callable[[LocalAgentError], None] | None = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self.deadline - self._loop.time())

    @property
    def expired(self) -> bool:
        """Whether the call's deadline has passed."""
        return self._loop.time() >= self.deadline

    def enter(self) -> None:
        """Note that the current task now waits inside the core."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call must run inside an asyncio task")
        self._task = task
        self._cancelling = task.cancelling()

    def leave(self) -> None:
        """Note that the task is outside again; of the clocks, the call's deadline goes on."""
        self._task = None
        self.deadline_only()

    def watch(self, seconds: float, limit: Limit) -> None:
        """Limit what happens from now on to this many seconds; ``limit`` makes the error when they are over."""
        now = self._loop.time()
        self.until = now + seconds
        self._limit = limit
        if self.until < self._armed:
            self._arm(self.until, now)

    def deadline_only(self) -> None:
        """End the limit of ``watch``; only the call's deadline holds."""
        self.until = NEVER
        if self._armed == NEVER:
            self._arm(self.deadline, self._began)

    def leave_time(self, seconds: float, limit: Limit) -> None:
        """Limit what happens from now on to this many seconds, whatever is watched, so that time is left for others.

        Args:
            seconds: The limit; ``NEVER`` ends it.
            limit: Makes the error when they are over.
        """
        now = self._loop.time()
        self._share_limit = limit
        self._share = share = now + seconds
        if share < self._armed:
            self._arm(share, now)

    def close(self) -> None:
        """Disarm."""
        if self._error is not None and self._task is not None:
            self._task.uncancel()  # a step swallowed the timer's cancellation
        self._task = None
        self.aside = None
        self._limit = self._share_limit = _CALL
        self.until = self.deadline = NEVER
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None
        if self._own:
            self._wheel.close()

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    @property
    def inside(self) -> bool:
        """Whether a task waits inside the core."""
        return self._task is not None

    def end(self, error: LocalAgentError) -> None:
        """End the call with an error, as if its time were up; a task that waits inside is woken."""
        self.deadline = self._loop.time()
        self._error = error
        if self._task is not None:
            self._task.cancel()

    def classify_cancellation(self) -> LocalAgentError | Cancellation:
        """Say whose the CancelledError in hand is; ``pipeline.guard.cancellation_error`` makes an error of it.

        Returns:
            The timer's error when the timer cancelled the task: of what took too long, or the one given to ``end``.
            ``TASK_CANCELLED`` when somebody else cancelled the task, also at the same time: it stays cancelled then.
            ``FOREIGN_CANCELLATION`` when nobody cancelled it.
        """
        task = self._task
        if task is None:
            # Outside the core the timer cancels nobody.
            return Cancellation.TASK_CANCELLED
        error, self._error = self._error, None
        if error is not None:
            # The timer asked for a cancellation, and takes that back. If more are asked for than when the task came
            # in, somebody else wants the task cancelled as well, and wins.
            return error if task.uncancel() <= self._cancelling else Cancellation.TASK_CANCELLED
        if task.cancelling():
            # Somebody asked for it. It may have been before the task came in: then it arrives only now.
            return Cancellation.TASK_CANCELLED
        # Nobody asked for it: a future, a task or a scope that the task awaits was cancelled.
        return Cancellation.FOREIGN_CANCELLATION

    def _arm(self, at: float, now: float) -> None:
        """Have the wheel call at a time; a far one a second early, since its slot is coarse: then it looks again."""
        at = min(at, self.deadline)
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None
        self._armed = at
        if at != NEVER:
            self._slot = self._wheel.add(at - 1.0 if at - now > FAR else at, self, now)

    def fire(self) -> None:
        """Look what is over, and end it; the wheel's."""
        self._slot = None
        time = self._loop.time()
        now = time + 1e-3  # as early as the wheel may call
        if now >= self.deadline:
            limit: Limit = _CALL
        elif now >= self.until:
            limit = self._limit
        elif now >= self._share:
            limit = self._share_limit
        else:
            self._armed = NEVER
            self._arm(min(self.until, self._share, self.deadline), time)
            return
        self._armed = self.until = self._share = NEVER
        if self._task is not None:
            self._error = limit.timeout_error()
            self._task.cancel()
        elif self.aside is not None:
            self.aside(limit.timeout_error())
