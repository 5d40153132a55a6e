"""Keeps the file open, and writes, checks and repairs it in a thread: one piece of work at a time."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from localagent.errors import StartError
from localagent.timing import in_thread
from localagent_cache_sqlite.database import AnswerFile, file_at, is_damage
from localagent_cache_sqlite.eviction import Bounds
from localagent_cache_sqlite.pending_writes import PendingWrites
from localagent_cache_sqlite.writing import write

log = logging.getLogger("localagent.cache-sqlite")

T = TypeVar("T")

UPKEEP_SECONDS = 5.0  # between two checks for pending writes, expired entries and a removed file
CLOSE_SECONDS = 5.0  # the most that closing waits for a disk


class BackgroundFile:
    """The file in the background: open, or closed while it cannot be used. Belongs to one event loop.

    Args:
        path: The path of the file.
        bounds: The limits of the cache.
        timeout: Seconds that a read may take before the disk counts as slow.
        wall_time: Returns the seconds since the epoch.

    Attributes:
        path: The path of the file.
        file: The open file; None while it is not open.
        pending: The pending writes.
        disk_guard: Decides whether the disk is fast enough.
    """

    def __init__(self, path: Path, bounds: Bounds, timeout: float, wall_time: Callable[[], float]) -> None:
        self.path = path
        self.file: AnswerFile | None = None
        self.pending = PendingWrites()
        self.disk_guard = SlowDiskGuard(timeout)
        self._bounds = bounds
        self._wall_time = wall_time
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache-sqlite")
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reported = ""

    async def open(self) -> None:
        """Open the file; if that fails, continue without it and try again later."""
        self._loop = asyncio.get_running_loop()
        self._file = await self._in_thread(file_at, self.path)
        self._file.join()
        await self._open()
        self._wake_up_later()

    async def aclose(self) -> None:
        """Finish the pending writes and close the file; give up if the disk does not answer in time."""
        if self._timer is not None:
            self._timer.cancel()
        closing = self._loop.create_task(self._close(), name="close cache-sqlite")
        done, _ = await asyncio.wait([closing], timeout=CLOSE_SECONDS)
        if not done:
            log.warning("%s does not answer; answers that were not yet written are lost.", self.path)
            for task in filter(None, (closing, self._work)):
                task.cancel()
            await asyncio.wait([closing])
        self._thread.shutdown(wait=bool(done))

    async def _close(self) -> None:
        await self.flushed()
        self.file = None
        await self._in_thread(self._file.leave)

    async def flushed(self) -> None:
        """Wait until the pending changes have been written or dropped."""
        while self._work is not None or self.pending:
            await asyncio.wait([self.work()])

    def work(self) -> asyncio.Task[None]:
        """Start a task that writes the pending changes, unless one is running, and return it."""
        if self._work is None:
            self._work = self._begin(self._do_work())
        return self._work

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="cache-sqlite")
        task.add_done_callback(self._worked)
        return task

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._work = None
        if not task.cancelled() and self.pending.is_pressing:
            self.work()

    async def _do_work(self) -> None:
        await self._open()
        more = await self._write()
        while more:
            more = await self._write()
        if self.disk_guard.over and self.file is not None:
            await self._try_disk(self.file)

    async def _write(self) -> bool:
        """Write one batch; it is lost if the write fails. Return whether there are more expired entries to remove."""
        batch = self.pending.begin()
        written, number = False, self._file.number
        try:
            if self.file is None:
                return False
            more: bool = await self._in_thread(self.file.change, write, batch, self._bounds, self._wall_time())
            written = True
            self._reported = ""
            return more
        except sqlite3.Error as error:
            await self._hint(number, error)
            return False
        finally:
            self.pending.end(written=written)

    async def _hint(self, number: int, error: sqlite3.Error) -> None:
        """Replace the file if it is damaged; report any other error, which may be temporary."""
        if self.file is None or not is_damage(error):
            self._report(error)
            return
        await self._use(self._file.replace, number, error)

    def repair_soon(self, number: int, error: sqlite3.Error) -> None:
        """Replace the file in a task if it is damaged. After any other error, the read is just a miss.

        Args:
            number: The number of the file that was read.
            error: The error of the read.
        """
        if is_damage(error) and self.file is not None and self._work is None:
            self._work = self._begin(self._hint(number, error))

    async def _open(self) -> None:
        await self._use(self._file.open)

    async def _use(self, opening: Callable[..., None], *arguments: object) -> None:
        """Open the file in the thread; if that fails, no file is used."""
        try:
            await self._in_thread(opening, *arguments)
            self.file = self._file
        except (sqlite3.Error, OSError) as error:
            self.file = None
            self._report(error)

    async def _try_disk(self, file: AnswerFile) -> None:
        """Read from the file in the thread; if that is fast, the event loop may read again."""
        try:
            self.disk_guard.note(await self._in_thread(file.change, _timed_read))
        except sqlite3.Error as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        """Log a warning about an error, once until it is over or another error occurs."""
        if str(error) != self._reported:
            self._reported = str(error)
            log.warning("%s cannot be used (%s). Answers are not kept there until it works again.", self.path, error)

    def _wake_up_later(self) -> None:
        self._timer = self._loop.call_later(UPKEEP_SECONDS, self._wake_up)

    def _wake_up(self) -> None:
        self.work()
        self._wake_up_later()

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await in_thread(work, *arguments, executor=self._thread)

    # For ``localagent cache`` and other readers of the contents

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the thread, after the pending changes are written.

        Raises:
            StartError: The file cannot be used now.
        """
        await self.flushed()
        try:
            if self.file is None:
                raise StartError(f"{self.path} cannot be used: {self._reported or 'it is closed'}.")
            return await self._in_thread(self.file.change, question)
        except sqlite3.Error as error:
            raise StartError(f"{self.path} cannot be used: {error}.", hint="Try again later.") from error

    async def pages(self, read: Callable[[sqlite3.Connection], Iterator[Sequence[T]]]) -> AsyncIterator[Sequence[T]]:
        """Yield the pages of a read.

        Raises:
            StartError: The file cannot be used now.
        """
        reading = await self.ask(read)
        while page := await self.ask(lambda _: next(reading, ())):
            yield page


def _timed_read(connection: sqlite3.Connection) -> float:
    """Return the seconds that it takes to read a random answer."""
    began = time.perf_counter()
    some = random.randrange(-(2**63), 2**63)
    connection.execute("SELECT record FROM answers WHERE id >= ? LIMIT 1", (some,)).fetchone()
    return time.perf_counter() - began


class SlowDiskGuard:
    """Stops reads on the event loop after a slow read, until a read in the thread is fast.

    Args:
        limit: Seconds that a read may take.

    Attributes:
        over: Whether the disk is too slow now, so the event loop must not read.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.over = False

    def note(self, seconds: float) -> None:
        """Record the seconds that a read took."""
        self.over = seconds > self._limit
