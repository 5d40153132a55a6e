"""An answer: the bytes that its connection has read, and what its reader waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from localagent import LocalAgentError
from localagent.errors import ResponseTooLarge
from localagent.records import SizeLimits
from localagent_connect_aiohttp import Inflater, Permits
from localagent_connect_fast.errors import aborted
from localagent_connect_fast.headers import Headers

if TYPE_CHECKING:
    from localagent_connect_fast.connection import Connection

MARK = 128 * 1024  # bytes that wait for a reader; above this, reading from the connection pauses
_NONE = Headers([])


class FastAnswer:
    """An answer whose head was received; see ``localagent.records.transport.HttpAnswer``.

    The reader waits for ``waiter``, which the connection wakes at most once per read, and only when there is enough.

    Attributes:
        status: The status; 0 before the head has arrived.
        headers: The headers.
        connection: Its connection, until the answer is complete, broken or aborted.
        slot: The connection slot, which is returned together with the connection.
        inflater: Decompresses the body; None if it is not compressed.
        complete: Whether the whole answer was received.
        error: The error that ended it.
        parts: Chunks that were received and not yet read.
        size: The number of bytes in ``parts``.
        wanted: The number of bytes that the reader waits for.
        mark: The number of bytes above which reading from the connection pauses.
        waiter: The future that the reader waits for.
    """

    __slots__ = ("_size_limits", "complete", "connection", "error", "headers", "inflater", "mark", "parts", "size",
                 "slot", "status", "waiter", "wanted")  # fmt: skip

    def __init__(self, connection: Connection, size_limits: SizeLimits) -> None:
        self.connection: Connection | None = connection
        self._size_limits = size_limits
        self.status = 0
        self.headers = _NONE
        self.slot: Permits | None = None
        self.inflater: Inflater | None = None
        self.complete = False
        self.error: LocalAgentError | None = None
        self.parts: list[bytes] = []
        self.size = 0
        self.wanted = 0
        self.mark = MARK
        self.waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end and the connection returned."""
        return self.complete and not self.parts and (self.inflater is None or self.inflater.finished)

    async def read(self, cap: int | None = None) -> bytes:
        """Return the rest of the body; see ``HttpAnswer.read``."""
        enough = self._size_limits.body + 1 if cap is None else cap
        if self.inflater is None:
            if not self.complete:
                await self._received(enough)
            if self.error is not None and self.size < enough:
                raise self.error
            data = self._taken()
        else:
            data = await self._inflated(self.inflater, enough)
        if not self.ended:
            self.abort()
        if cap is None:
            if len(data) > self._size_limits.body:
                raise ResponseTooLarge(f"The answer is larger than {self._size_limits.body} bytes.", phase="read")
            return data
        return data[:cap]

    def read_chunk(self) -> Coroutine[Any, Any, bytes]:
        """Return the next bytes of the body; ``b""`` at its end."""
        return self._next() if self.inflater is None else self._inflated_part(self.inflater)

    async def _next(self) -> bytes:
        if not self.parts:
            if not self.complete:
                await self._received(1)
            if not self.parts and self.error is not None:
                raise self.error
        return self._taken()

    async def _inflated(self, inflater: Inflater, enough: int) -> bytes:
        data = await self._inflated_part(inflater)
        parts, total = [data], len(data)
        while data and total < enough:
            data = await self._inflated_part(inflater)
            parts.append(data)
            total += len(data)
        return b"".join(parts)

    async def _inflated_part(self, inflater: Inflater) -> bytes:
        if self.error is not None and not self.parts:
            raise self.error
        try:
            data = inflater.pending()
            if data:
                await self._turn()
            while not data and not inflater.finished:
                data = inflater.feed(await self._next())
        except LocalAgentError as error:
            self.abort()
            self.error = error
            raise
        return data

    async def _turn(self) -> None:
        """Let other tasks run where nothing else yields: decompressing 1 MiB takes milliseconds."""
        try:
            await asyncio.sleep(0)
        except BaseException:  # a cancellation: the reader may not come back to clean up
            self.abort()
            raise

    async def _received(self, wanted: int) -> None:
        """Wait until ``wanted`` bytes were received, or no more will arrive."""
        self.wanted, self.mark = wanted, max(wanted, MARK)
        while self.connection is not None and self.size < wanted:
            self.waiter = self.connection.loop.create_future()
            try:
                await self.waiter
            except BaseException:  # a cancellation: the reader may not come back to clean up
                self.abort()
                raise

    def _taken(self) -> bytes:
        """Return all unread bytes."""
        parts = self.parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        if self.connection is not None and self.connection.reading_paused:
            self.connection.read_on()
        return data

    def wake(self) -> None:
        """Wake the reader."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def leave(self, error: LocalAgentError | None) -> None:
        """Detach from the connection, because the answer is complete or failed.

        Args:
            error: The error; None when the answer is complete.
        """
        self.connection = None
        self.error = error
        self.complete = error is None
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.give()
        self.wake()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.connection is not None:
            self.connection.give_up(aborted())
        elif not self.ended and self.error is None:
            self.error = aborted()
        self.parts.clear()
        self.size = 0

    async def aclose(self) -> None:
        """Return the connection if the body was read to its end; close it otherwise."""
        if not self.ended:
            self.abort()
