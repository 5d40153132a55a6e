"""Connections that are opened in the background, so that no request's budget pays for names, TLS, AUTH and SELECT.

Whoever needs a connection and finds none idle waits for the next one: one that is opened for it, or one that somebody
else has done with. Who leaves before leaves the opening under way, for those who come next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError

OPEN_SECONDS = 5.0  # that opening a connection may take
LATE_SECONDS = 0.5  # by which a reply may be late, until its connection is given up


class StoreMissedError(Exception):
    """An operation was not done, or not in time.

    Args:
        why: Why, without anything that was sent or received.
        busy: Whether the server is not to blame: the operation waited for a connection that others used, or for one
            that was still being opened.
    """

    def __init__(self, why: str, *, busy: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.busy = busy


class _Ours:
    """What is different about our connections.

    They are closed at once, for what is left to send would wait for a server that does not read. And they outlive a
    reader who leaves.
    """

    async def disconnect(self, *arguments: Any, **named: Any) -> None:
        """Abort, then let the library forget the connection."""
        writer = getattr(self, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        await super().disconnect(*arguments, **named)  # type: ignore[misc]

    async def read_response(self, *arguments: Any, **named: Any) -> Any:
        """Read a reply. Where the reader is cancelled, what is there of the reply stays for ``Link.read_late``."""
        return await super().read_response(*arguments, **{**named, "disconnect_on_error": False})  # type: ignore[misc]


class _Plain(_Ours, Connection):
    """A TCP connection."""


class _Secure(_Ours, SSLConnection):
    """A TLS connection."""


class _One(ConnectionPool):
    """What the library's client takes its connection from: it is always the same one, and nobody else's meanwhile."""

    def __init__(self, kind: type[Any], arguments: dict[str, Any]) -> None:
        super().__init__(kind, 1, **arguments)
        self.connection: Any = self.make_connection()  # type: ignore[no-untyped-call]

    async def get_connection(self, *arguments: Any, **named: Any) -> Any:
        return self.connection

    async def release(self, connection: Any) -> None:
        pass


class Link:
    """One connection.

    Args:
        arguments: Of redis-py's connection.
        tls: Whether it speaks TLS.

    Attributes:
        client: Does operations over this connection.
    """

    def __init__(self, arguments: dict[str, Any], *, tls: bool) -> None:
        pool: Any = _One(_Secure if tls else _Plain, arguments)
        self._connection = pool.connection
        self.client: Redis = Redis(connection_pool=pool)

    async def open(self) -> None:
        """Connect and introduce ourselves.

        Raises:
            StoreMissedError: It cannot be done.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connection.connect()
                return
        except Exception as error:  # redis-py's code, and whatever the server says
            why = "no connection in time" if isinstance(error, TimeoutError) else reason(error)
        raise StoreMissedError(why)

    async def is_usable(self) -> bool:
        """Say whether it is open and silent: no end and no reply is waiting to be read."""
        try:
            return self._connection.is_connected and not await self._connection.can_read()
        except RedisError:
            return False

    @property
    def is_connected(self) -> bool:
        """Whether it is open, as far as is known."""
        return bool(self._connection.is_connected)

    async def read_late(self) -> None:
        """Read the one reply that its caller did not wait for, and throw it away.

        Raises:
            StoreMissedError: It does not come.
        """
        try:
            async with asyncio.timeout(LATE_SECONDS):
                await self._connection.read_response()
                return
        except ResponseError:
            return
        except Exception as error:  # redis-py's code
            why = reason(error)
        raise StoreMissedError(why)

    async def close(self) -> None:
        """Close it at once."""
        await self._connection.disconnect(nowait=True)


def reason(error: Exception) -> str:
    """Return why the server did not do something, without its words: they may quote what was sent."""
    return "it refuses the user or the password" if isinstance(error, AuthenticationError) else type(error).__name__


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
        self._tasks: set[asyncio.Task[None]] = set()
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
        self._begin(self._read_late(link))

    async def _read_late(self, link: Link) -> None:
        try:
            await link.read_late()
            usable = await link.is_usable()
        except BaseException as error:
            await link.close()
            if not isinstance(error, StoreMissedError):  # it is cancelled
                raise
            usable = False
        finally:
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
            self._begin(self._open(link))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="cache-valkey connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, link: Link) -> None:
        try:
            await link.open()
        except BaseException as error:
            del self._opening[link]
            await link.close()
            if not isinstance(error, StoreMissedError):  # it is cancelled
                raise
            self.trouble = error.why
            if (waiter := self._waiter()) is not None:
                waiter.set_exception(error)
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
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        while (waiter := self._waiter()) is not None:
            waiter.set_exception(StoreMissedError("closed", busy=True))

    async def aclose(self) -> None:
        """Close what is idle; nothing may be in use any more."""
        await self.stop()
        while self._idle:
            await self._idle.pop().close()
