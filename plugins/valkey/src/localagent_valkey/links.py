"""Connections that are opened in the background, so no request's budget is spent on names, TLS, AUTH and SELECT.

A caller that finds no idle connection waits for the next one: one that is opened for it, or one that another caller
returns. If the caller is cancelled before, the opening continues, for later callers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from localagent_valkey.link import Link, StoreMissedError


class Links:
    """The connections of one event loop. There are never more connections than simultaneous callers.

    Args:
        make: Creates a connection that is not open yet.

    Attributes:
        trouble: Why the last opening failed; empty if it succeeded.
    """

    def __init__(self, make: Callable[[], Link]) -> None:
        self._make = make
        self._idle: list[Link] = []
        self._waiters: deque[asyncio.Future[Link]] = deque()
        self._opening: dict[Link, float] = {}  # since when
        self._tasks: dict[asyncio.Task[None], Link] = {}
        self._in_use = 0
        self._late = 0
        self.trouble = ""

    def are_coming(self, seconds: float) -> bool:
        """Return whether a waiting caller may expect one: some are in use, or opening for less than these seconds."""
        if self._in_use:
            return True
        began = min(self._opening.values(), default=None)
        return not self.trouble and began is not None and asyncio.get_running_loop().time() - began < seconds

    async def take(self) -> Link:
        """Return a connection for exclusive use; the most recently used one first.

        Raises:
            StoreMissedError: The connection for this caller could not be opened.
        """
        link = await self._laid_aside() or await self._next()
        self._in_use += 1
        return link

    async def _laid_aside(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if await link.is_usable():
                return link
            await link.close()
        return None

    async def give_back(self, link: Link) -> None:
        """Take a connection back, or close it if it is not usable any more."""
        self._in_use -= 1
        if await link.is_usable():
            self._offer(link)
        else:
            await link.close()

    async def lose(self, link: Link) -> None:
        """Close a connection whose next data is unknown."""
        self._in_use -= 1
        await link.close()

    async def leave(self, link: Link) -> None:
        """Take a connection back whose caller does not wait for the one reply to its command.

        It is used again after the reply was read, so no other caller ever gets it.
        """
        if not link.is_connected:  # the caller was cancelled while it was still sending
            await self.lose(link)
            return
        self._in_use -= 1
        self._late += 1
        self._begin(self._read_late(link), link)

    async def _read_late(self, link: Link) -> None:
        usable = await link.read_late() and await link.is_usable()
        self._late -= 1
        if usable:
            self._offer(link)
        else:
            await link.close()
            self._open_for_waiters()

    async def _next(self) -> Link:
        waiter: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._open_for_waiters()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._offer(waiter.result())
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _open_for_waiters(self) -> None:
        """Open connections until there is one for each waiting caller, counting those that are opening or late."""
        while len(self._opening) + self._late < len(self._waiters):
            link = self._make()
            self._opening[link] = asyncio.get_running_loop().time()
            self._begin(self._open(link), link)

    def _begin(self, work: Coroutine[Any, Any, None], link: Link) -> None:
        task = asyncio.get_running_loop().create_task(work, name="cache-valkey connection")
        self._tasks[task] = link
        task.add_done_callback(self._tasks.pop)

    async def _open(self, link: Link) -> None:
        try:
            await link.open()
        except StoreMissedError as miss:
            del self._opening[link]
            self.trouble = miss.why
            if (waiter := self._waiter()) is not None:
                waiter.set_exception(miss)
            await link.close()
        else:
            del self._opening[link]
            self.trouble = ""
            self._offer(link)

    def _offer(self, link: Link) -> None:
        """Give a connection to the caller that has waited longest, or add it to the idle ones."""
        if (waiter := self._waiter()) is not None:
            waiter.set_result(link)
        else:
            self._idle.append(link)

    def _waiter(self) -> asyncio.Future[Link] | None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None

    async def stop(self) -> None:
        """Cancel the background work; waiting callers get an error."""
        begun = dict(self._tasks)
        for task in begun:
            task.cancel()
        if begun:
            await asyncio.wait(begun)
        for task, link in begun.items():
            if task.cancelled():
                await link.close()
        self._opening.clear()
        self._late = 0
        while (waiter := self._waiter()) is not None:
            waiter.set_exception(StoreMissedError("closed", busy=True))

    async def aclose(self) -> None:
        """Close the idle connections; none may be in use any more."""
        await self.stop()
        while self._idle:
            await self._idle.pop().close()
