"""Signals from an operator, and the signals that workers and threads do not handle.

An operator can ask the process to shut down gracefully, to end now, to read its settings again or to replace its
workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

from localagent_cli import PressedTwice

ENDS = (signal.SIGTERM, signal.SIGINT)
FOR_THE_SUPERVISOR = (signal.SIGINT, signal.SIGHUP)  # Ctrl-C, and reading the settings again


class Signals:
    """Watches signals while the context is open; must be entered first of all, in the main thread.

    Until there is an event loop (``on_loop``), SIGHUP and SIGUSR2 are remembered, and SIGTERM and SIGINT keep their
    default effect.

    Attributes:
        ending: Set by the first SIGTERM or SIGINT.
        now: Set by the second.
        reload: Set by SIGHUP; the code that handles it clears it.
        replace: Set by SIGUSR2; the code that handles it clears it.
    """

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.now = asyncio.Event()
        self.reload = asyncio.Event()
        self.replace = asyncio.Event()
        # SIGUSR1 has no meaning here; its sender does not mean to end the server.
        self._asks = {
            signal.SIGHUP: self.reload.set, signal.SIGUSR2: self.replace.set, signal.SIGUSR1: _nothing
        }  # fmt: skip
        self._before: dict[signal.Signals, Any] = {}
        self._ends = 0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._early) for number in self._asks}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _early(self, number: int, frame: FrameType | None) -> None:
        self._asks[signal.Signals(number)]()

    @contextlib.contextmanager
    def on_loop(self) -> Iterator[None]:
        """Let the running event loop handle signals while the context is open."""
        loop = asyncio.get_running_loop()
        for number in ENDS:
            loop.add_signal_handler(number, self._end)
            signal.signal(number, self._end_now)  # in addition to the loop's, which still gets each signal
        for number, ask in self._asks.items():
            loop.add_signal_handler(number, ask)
        try:
            yield
        finally:
            for number in (*ENDS, *self._asks):
                loop.remove_signal_handler(number)
            for number in self._asks:
                signal.signal(number, self._early)

    def _end_now(self, number: int, frame: FrameType | None) -> None:
        """End at once at the second signal if a blocked loop has not handled the first yet."""
        self._ends += 1
        if self._ends > 1 and not self.ending.is_set():
            raise PressedTwice

    def _end(self) -> None:
        (self.now if self.ending.is_set() else self.ending).set()

    async def unless_now(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run ``work``, or cancel it when the second signal arrives; return whether it finished."""
        return await _unless(self.now, work)

    async def unless_ending(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run ``work``, or cancel it when the first signal arrives; return whether it finished."""
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


def _nothing() -> None:
    """Do nothing."""


_holding = 0


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Start a worker in this context: SIGHUP and SIGINT are blocked until it is ready to ignore them (``ignore``).

    A child inherits the mask of blocked signals. SIGHUP may be sent to all processes of a name, including one that has
    no handlers yet.
    """
    global _holding  # noqa: PLW0603 - the mask belongs to the process, too; several workers start at a time
    _holding += 1
    signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_SUPERVISOR)
    try:
        yield
    finally:
        _holding -= 1
        if not _holding:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_SUPERVISOR)


def ignore() -> None:
    """Ignore in a worker the signals for the supervisor, and unblock them."""
    for number in FOR_THE_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_THE_SUPERVISOR)


def leave_to_main_thread() -> None:
    """Block all signals in the calling thread; a thread must call this first.

    Python handles signals in the main thread. A signal that the system delivers to another thread does not wake the
    main thread from a blocking call.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
