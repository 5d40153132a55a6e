"""One timer per call: the deadline, the limit of the step under way, and the clocks of the exchange.

Arming a timer of the event loop for every step would cost more than the steps. So a call owns one place in the wheel,
for the earliest time that anything could be over; when it fires it looks, and arms itself again if nothing is. It
cancels the task that waits inside the core, and only while it does: a consumer's own awaits are never cancelled. Where
nobody waits inside, it calls ``aside`` (a stream then aborts its source).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Self

import attrs

from localagent.errors import LocalAgentError, Phase
from localagent.structuring.fields import PositiveSeconds
from localagent.timing.wheel import FAR, Slot, Wheel

NEVER = math.inf
STRAY = object()
"""What ``Timer.claim`` says of a CancelledError that neither the timer nor anybody else asked the task for."""

SHARE = object()
"""What ``Timer.claim`` says when an attempt has used up its share of the call's time."""


@attrs.frozen
class Clocks:
    """How long the parts of an exchange may take, in seconds; None means the default of the operation.

    Attributes:
        connect: To open a connection, name resolution and TLS included.
        pool: To wait for a free connection.
        send: To write the request's body.
        load: For a server to load a model into memory, before ``first`` applies.
        first: From the request being sent to the first content (to the headers, when not streamed).
        idle: Between two events of a stream that carry something; comments do not count.
        total: For the whole call, where the call names no timeout of its own.
    """

    connect: PositiveSeconds = 10.0
    pool: PositiveSeconds = 30.0
    send: PositiveSeconds = 60.0
    load: PositiveSeconds = 300.0
    first: PositiveSeconds | None = None
    idle: PositiveSeconds = 120.0
    total: PositiveSeconds | None = None


class Timer:
    """The timer of one call; see the module. As a context manager it is entered, and closed at the end.

    Args:
        loop: The running loop; its ``time()`` is the clock.
        deadline: Loop time at which the call is over, or ``NEVER``.
        wheel: The wheel of the loop's timers; None makes one for this timer alone.
        began: The loop's time, when it was just asked for.
    """

    __slots__ = ("_armed", "_began", "_cancelling", "_loop", "_own", "_share", "_slot", "_task", "_wheel", "aside",
                 "deadline", "fired", "until", "what")  # fmt: skip

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
        self.what: Any = None
        self.fired: Any = None
        self.aside: Callable[[], None] | None = None

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

    def watch(self, seconds: float, what: Any) -> None:
        """Limit what happens from now on to this many seconds; ``what`` names it when it is over."""
        now = self._loop.time()
        self.until = now + seconds
        self.what = what
        if self.until < self._armed:
            self._arm(self.until, now)

    def deadline_only(self) -> None:
        """End the limit of ``watch``; only the call's deadline holds."""
        self.until = NEVER
        if self._armed == NEVER:
            self._arm(self.deadline, self._began)

    def leave_time(self, seconds: float) -> None:
        """Limit what happens from now on to this many seconds, whatever is watched, so that time is left for others.

        Args:
            seconds: The limit; ``NEVER`` ends it.
        """
        now = self._loop.time()
        self._share = share = now + seconds
        if share < self._armed:
            self._arm(share, now)

    def close(self) -> None:
        """Disarm."""
        if self.fired is not None and self._task is not None:
            self._task.uncancel()  # a step swallowed the timer's cancellation
        self._task = None
        self.aside = None
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
        """End the call with an error, as if its time were up; whoever waits inside is woken."""
        self.deadline = self._loop.time()
        self.fired = error
        if self._task is not None:
            self._task.cancel()

    def claim(self) -> Any:
        """Say whose the CancelledError in hand is.

        Returns:
            What the timer fired for, when it is the timer's own (an error, when ``end`` ended the call); ``STRAY`` when
            nobody cancelled the task (a step awaited something that was cancelled); None when somebody else cancelled
            the task, also at the same time: it stays cancelled then.
        """
        if self._task is None:
            return None
        fired, self.fired = self.fired, None
        if fired is not None:
            return fired if self._task.uncancel() <= self._cancelling else None
        # Also one that was asked for before the task came in counts: it may be the one that arrives only now.
        return None if self._task.cancelling() else STRAY

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
        over: Any = None
        if now >= self.deadline:
            over = "total"
        elif now >= self.until:
            over = self.what
        elif now >= self._share:
            over = SHARE
        if over is None:
            self._armed = NEVER
            self._arm(min(self.until, self._share, self.deadline), time)
            return
        self._armed = NEVER
        self.until = self._share = NEVER
        self.fired = over
        if self._task is not None:
            self._task.cancel()
        elif self.aside is not None:
            self.aside()


class Watch:
    """What a transport and a provider see of the clocks: they say which phase begins.

    Args:
        timer: The call's timer.
        clocks: The limits.
        streamed: Whether the answer is a stream; only then ``first`` has a default (300 s).

    Attributes:
        phase: The phase that is under way.
        cold: A provider sets this when the server may have to load the model first. While it is true, ``load`` stands
            in for a shorter ``first``. Where ``first`` sets no limit, there is none for loading either: an answer
            that comes whole may take longer than loading does.
        fresh: Whether the request needs a connection of its own, because it repeats one whose kept connection broke.
    """

    __slots__ = ("_clocks", "_first", "_loads", "_timer", "cold", "fresh", "phase")

    def __init__(self, timer: Timer, clocks: Clocks, *, streamed: bool) -> None:
        self._timer = timer
        self._clocks = clocks
        self._first = clocks.first if clocks.first is not None else (300.0 if streamed else None)
        self._loads = streamed if clocks.first is None else clocks.first < clocks.load
        self.cold = False
        self.fresh = False
        self.phase: Phase = "connect"

    def enter(self, phase: Phase) -> None:
        """Begin a phase: its clock starts, the one of the phase before ends."""
        seconds: float | None = None
        if phase == "ttft":
            seconds = self._first
            if self.cold and self._loads:
                phase, seconds = "load", self._clocks.load
        elif phase != "read":
            seconds = getattr(self._clocks, "connect" if phase in ("dns", "tls") else phase)
        self.phase = phase
        if seconds is None:
            self._timer.deadline_only()
        else:
            self._timer.watch(seconds, phase)

    def idle(self) -> None:
        """Begin the wait for the next event of a stream: ``enter("idle")``, made cheap because it comes so often."""
        self.phase = "idle"
        self._timer.watch(self._clocks.idle, "idle")

    def rename(self, phase: Phase) -> None:
        """Give the phase that is under way another name; its clock goes on."""
        if self._timer.what == self.phase:
            self._timer.what = phase
        self.phase = phase
