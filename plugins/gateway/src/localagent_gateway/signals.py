"""What an operator asks of the process by signals.

To end in good order, to end now, to read its settings again, to replace its workers.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class Signals:
    """Watches SIGTERM, SIGINT, SIGHUP and SIGUSR2 while the context is open; in the main thread.

    Attributes:
        ending: Set by the first SIGTERM or SIGINT.
        now: Set by the second.
        reload: Set by SIGHUP; whoever obeys clears it.
        replace: Set by SIGUSR2; the same.
    """

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.now = asyncio.Event()
        self.reload = asyncio.Event()
        self.replace = asyncio.Event()

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        loop.add_signal_handler(signal.SIGUSR2, self.replace.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            loop.remove_signal_handler(number)

    def _end(self) -> None:
        (self.now if self.ending.is_set() else self.ending).set()

    async def unless_now(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do some work, or cancel it when the second signal comes; return whether it was done."""
        return await _unless(self.now, work)

    async def unless_ending(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do some work, or cancel it when the first signal comes; return whether it was done."""
        return await _unless(self.ending, work)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        done = task.done()
    finally:
        waiting.cancel()
        task.cancel()
        ended = await asyncio.gather(task, waiting, return_exceptions=True)
    if isinstance(ended[0], Exception):
        raise ended[0]
    return done
