"""A virtual clock: an event loop on which waiting takes no time.

For tests of everything that only waits for timers: limiters, breakers, budgets, deadlines, retries, hedges. When
nothing is ready, the loop's ``time()`` jumps to the next timer, so that an hour passes in microseconds and always in
the same order.

Limits:

* Only the loop's clock is virtual. Code that asks ``time.monotonic()`` or sleeps in ``time.sleep`` sees real time.
* Real sockets are polled without waiting before each jump. Two ends on the same loop work, because the system delivers
  bytes at once; a server in another process does not, because the clock would jump past its answer.
* While a call runs in an executor (``asyncio.to_thread``) the clock stands still, for at most 10 real seconds.
* When nothing is ready and no timer is set, nothing can happen any more: ``VirtualDeadlock`` names the tasks and where
  they wait.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualClockLoop", "VirtualDeadlock", "run_virtual"]

T = TypeVar("T")

#: The start of the clock, in seconds. Not 0, which is false; a power of two, so that simple fractions stay exact.
START = 1024.0
EXECUTOR_LIMIT = 10.0


class VirtualDeadlock(RuntimeError):
    """Every task waits for something that cannot happen any more."""


class _Jumping(selectors.DefaultSelector):
    """A selector that never waits: it makes the clock jump instead."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.loop.in_executor and (ready := super().select(EXECUTOR_LIMIT)):
            return ready
        if timeout is None:
            raise VirtualDeadlock(_who_waits(self.loop))
        self.loop.jump(timeout)
        return []


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing is ready; see the module."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self._now = START
        self.in_executor = 0
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the clock forward; timers that become due run at the loop's next turn."""
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # typeshed wants TypeVarTuple
        """Run a function in an executor; the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.in_executor += 1
        future.add_done_callback(self._left_executor)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Join the executor's threads; the clock stands still until they have ended."""
        self.in_executor += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self.in_executor -= 1

    def _left_executor(self, future: asyncio.Future[Any]) -> None:
        self.in_executor -= 1


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual clock and return its result.

    Args:
        main: What to run, as for ``asyncio.run``.

    Raises:
        VirtualDeadlock: Nothing can happen any more and ``main`` is not done.
    """
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)


def _who_waits(loop: asyncio.AbstractEventLoop) -> str:
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    waiting = "; ".join(f"{task.get_name()} waits {_where(task.get_coro())}" for task in tasks) or "no task is left"
    return f"Nothing is ready and no timer is set, so nothing can happen any more: {waiting}."


def _where(coroutine: Any) -> str:
    """Return where the innermost coroutine of a task is suspended."""
    while getattr(inner := getattr(coroutine, "cr_await", None), "cr_frame", None) is not None:
        coroutine = inner
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return f"in {coroutine!r}"
    return f"in {frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
