"""One timer per call: the deadline, the limit of the current step, and the phases of the exchange.

Arming a timer of the event loop for every step would cost more than the steps. So a call has one place in the wheel,
for the earliest possible timeout; when the timer fires, it checks the limits, and arms itself again if none expired.
It cancels the task that waits inside the core, and only while it does: a consumer's own awaits are never cancelled. If
no task waits inside, it calls ``aside`` (a stream then aborts its source).

Each ``Limit`` makes its own timeout error, so the timer only has to determine who caused a cancellation.
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
    """Something with a time limit: a step, a phase of an exchange, a call."""

    def timeout_error(self) -> LocalAgentError:
        """Return the error for its timeout."""


class Cancellation(enum.Enum):
    """Who caused a CancelledError that the timer did not cause."""

    TASK_CANCELLED = enum.auto()
    """The task was cancelled from outside: the CancelledError propagates."""
    FOREIGN_CANCELLATION = enum.auto()
    """The task itself was not cancelled: it awaited something that was, which is a failure of the code that did so."""


class _CallDeadline:
    """The limit of a whole call."""

    def timeout_error(self) -> LocalAgentError:
        return UpstreamTimeout(
            "The call's timeout expired.", phase="total", hint="Pass a longer timeout.", code="deadline_exceeded"
        )


_CALL = _CallDeadline()


class Timer:
    """The timer of one call; see the module. As a context manager it calls ``enter``, and ``close`` at the end.

    Args:
        loop: The running loop; its ``time()`` is the clock.
        deadline: Loop time at which the call times out, or ``NEVER``.
        wheel: The wheel of the loop's timers; None makes one for this timer alone.
        began: The loop's time, if the caller has just read it.
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
        """Record that the current task now waits inside the core."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call must run inside an asyncio task")
        self._task = task
        self._cancelling = task.cancelling()

    def leave(self) -> None:
        """Record that the task is outside again; only the call's deadline continues."""
        self._task = None
        self.deadline_only()

    def watch(self, seconds: float, limit: Limit) -> None:
        """Set a limit of this many seconds from now; ``limit`` makes the error when it expires."""
        now = self._loop.time()
        self.until = now + seconds
        self._limit = limit
        if self.until < self._armed:
            self._arm(self.until, now)

    def deadline_only(self) -> None:
        """End the limit of ``watch``; only the call's deadline applies."""
        self.until = NEVER
        if self._armed == NEVER:
            self._arm(self.deadline, self._began)

    def leave_time(self, seconds: float, limit: Limit) -> None:
        """Set a limit of this many seconds from now, in addition to that of ``watch``, to leave time for other targets.

        Args:
            seconds: The limit; ``NEVER`` ends it.
            limit: Makes the error when it expires.
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
        """End the call with an error, as if its deadline had passed; a task that waits inside is woken."""
        self.deadline = self._loop.time()
        self._error = error
        if self._task is not None:
            self._task.cancel()

    def classify_cancellation(self) -> LocalAgentError | Cancellation:
        """Return who caused the current CancelledError; ``pipeline.guard.cancellation_error`` makes an error of it.

        Returns:
            The timer's error when the timer cancelled the task: the error of a timeout, or the one given to ``end``.
            ``TASK_CANCELLED`` when other code cancelled the task, also at the same time: it stays cancelled then.
            ``FOREIGN_CANCELLATION`` when the task was not cancelled.
        """
        task = self._task
        if task is None:
            # The timer cancels no task outside the core.
            return Cancellation.TASK_CANCELLED
        error, self._error = self._error, None
        if error is not None:
            # The timer requested a cancellation, and withdraws it. If more requests remain than when the task came in,
            # other code wants the task cancelled as well, and wins.
            return error if task.uncancel() <= self._cancelling else Cancellation.TASK_CANCELLED
        if task.cancelling():
            # It was requested from outside, maybe before the task came in: then it arrives only now.
            return Cancellation.TASK_CANCELLED
        # It was not requested: a future, a task or a scope that the task awaits was cancelled.
        return Cancellation.FOREIGN_CANCELLATION

    def _arm(self, at: float, now: float) -> None:
        """Arm the wheel for a time; a distant one a second early, since its slot is coarse: then it checks again."""
        at = min(at, self.deadline)
        if self._slot is not None:
            self._slot.pop(self, None)
            self._slot = None
        self._armed = at
        if at != NEVER:
            self._slot = self._wheel.add(at - 1.0 if at - now > FAR else at, self, now)

    def fire(self) -> None:
        """End what has expired; called by the wheel."""
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
