"""Connections that are opened in the background, so that no request's budget pays for names, TLS, AUTH and SELECT.

Whoever needs a connection and finds none idle waits for the next one: one that is opened for it, or one that somebody
else has done with. Who leaves before leaves the opening under way, for those who come next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from localagent_valkey.link import Link, StoreMissedError


class Links:
    """The connections of one event loop. There are never more than callers at a time.

    Args:
        make: Makes a connection that is not open yet.

    Attributes:
        trouble: Why the last opening failed; empty where it did not.
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
        """Say whether who waits may expect one: some are in use, or being opened for not longer than these seconds."""
        if self._in_use:
            return True
        began = min(self._opening.values(), default=None)
        return not self.trouble and began is not None and asyncio.get_running_loop().time() - began < seconds

    async def take(self) -> Link:
        """Return a connection for one caller alone; one that was opened or used last first.

        Raises:
            StoreMissedError: The one that was opened for this caller could not be.
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
        """Take a connection back. One that is not as it was is closed."""
        self._in_use -= 1
        if await link.is_usable():
            self._offer(link)
        else:
            await link.close()

    async def lose(self, link: Link) -> None:
        """Close a connection on which it is not known what comes next."""
        self._in_use -= 1
        await link.close()

    async def leave(self, link: Link) -> None:
        """Take a connection back whose caller does not wait for the one reply to its command.

        It is used again when the reply was read, so that nobody else ever reads it.
        """
        if not link.is_connected:  # it left while it was still sending
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
        """See to it that for each who waits a connection is on its way: it is being opened, or its reply is late."""
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
        """Hand a connection to who has waited longest, or lay it aside."""
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
        """Give up what is done in the background; who waits for it is told."""
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
        """Close what is idle; nothing may be in use any more."""
        await self.stop()
        while self._idle:
            await self._idle.pop().close()
