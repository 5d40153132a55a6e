"""Background work: tasks outside the path of a request, tracked, bounded, and awaited when the client closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from localagent.supervision import raised_at
from localagent.timing.work import start_eagerly

log = logging.getLogger("localagent")

BACKGROUND_AT_MOST = 1000
CLOSING_SECONDS = 5.0
"""Seconds that background work has to finish when the client closes, and again after it was cancelled."""


class Background:
    """The background work of one client.

    Args:
        loop: The event loop of the client.

    Attributes:
        dropped: Tasks that were dropped because too many were running.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.dropped = 0
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished = False

    def __len__(self) -> int:
        """Return how many tasks are running."""
        return len(self._tasks)

    def __contains__(self, task: object) -> bool:
        """Whether a task is running background work."""
        return task in self._tasks

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        """Run work of a plugin; it is dropped (None) and counted when too many tasks are running.

        While the client closes, tasks that are still running may spawn more. Later work is dropped.
        """
        if self._finished:
            work.close()
            log.debug("Background work (%s) was dropped: the client is closed.", name)
            return None
        if len(self._tasks) >= BACKGROUND_AT_MOST:
            work.close()
            self.dropped += 1
            if self.dropped == 1:
                log.warning(
                    "Background work (%s) was dropped: too much is running. Further drops are only counted.", name
                )
            return None
        return self.begin(work, name)

    def begin(self, work: Coroutine[Any, Any, None], name: str, *, at_once: bool = False) -> asyncio.Task[None]:
        """Run the core's own work, which must not be dropped.

        Args:
            work: The work.
            name: Its name in logs.
            at_once: Whether it begins before this returns, if Python supports it: saves a turn of the loop.
        """
        name = f"localagent {name}"
        task = start_eagerly(work, self._loop, name) if at_once else self._loop.create_task(work, name=name)
        if task.done():
            self._done(task)
        else:
            self._track(task)
        return task

    def give(self, tasks: Iterable[asyncio.Task[None]], other: Background) -> None:
        """Hand tasks that were started here over to the background work of another client."""
        for task in self._tasks.intersection(tasks):
            self._tasks.discard(task)
            task.remove_done_callback(self._done)
            other._track(task)

    async def finish(self, others: Callable[[], Iterable[asyncio.Task[Any]]]) -> None:
        """Wait for a limited time until all work has ended, including work started meanwhile; then cancel the rest.

        Args:
            others: Returns further tasks that count as background work.
        """
        until = self._loop.time() + CLOSING_SECONDS
        while (tasks := {*self._tasks, *others()}) and (left := until - self._loop.time()) > 0:
            await asyncio.wait(tasks, timeout=left)
        self._finished = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)  # a task may ignore its cancellation

    def _track(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("Background work (%s) failed: %s.", task.get_name(), raised_at(error))
