"""Ctrl-C while a coroutine runs: the first cancels it, so it can clean up; the second ends it at once."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class PressedTwice(KeyboardInterrupt):
    """Ctrl-C was pressed again before the coroutine had ended."""


def run_until_interrupted(runner: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine and return its result.

    ``asyncio.Runner`` cancels in the signal handler, which may interrupt the very task that it cancels. Here the event
    loop cancels the task, between two of its steps.

    Args:
        runner: Runs the coroutine; in the main thread.
        work: The coroutine.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed once, and the coroutine has ended.
        PressedTwice: Ctrl-C was pressed twice, and the coroutine may not have ended.
    """
    interrupts = _Interrupts(runner.get_loop())
    try:
        return runner.run(interrupts.guarding(work))
    except asyncio.CancelledError:
        if interrupts.count:
            raise (KeyboardInterrupt if interrupts.count == 1 else PressedTwice) from None
        raise
    finally:
        if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:  # Ctrl-C came before the first step
            work.close()


class _Interrupts:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count = 0
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None

    async def guarding(self, work: Coroutine[Any, Any, T]) -> T:
        self._task = asyncio.current_task()
        before = signal.signal(signal.SIGINT, self._pressed)
        try:
            return await work
        finally:
            signal.signal(signal.SIGINT, before)

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._task is None:
            raise KeyboardInterrupt
        if self.count > 1:
            raise PressedTwice
        self._loop.call_soon_threadsafe(self._task.cancel)
