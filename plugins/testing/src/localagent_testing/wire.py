"""The bytes of one connection of a ``FaultServer``: buffered reading, awaited writing, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

READ_AHEAD = 64 * 1024  # bytes buffered for later steps; after that, the client has to wait


class Over(Exception):
    """The connection or its script is over."""


class Wire(asyncio.Protocol):
    """The bytes of one connection: buffered reading, awaited writing, and how it ends.

    Args:
        opened: Called with the wire when the connection is up.
        closed: Called with the wire when it is gone.
    """

    def __init__(self, opened: Callable[[Wire], None], closed: Callable[[Wire], None]) -> None:
        self._opened = opened
        self._closed = closed
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.ended = False
        self.gone = asyncio.Event()
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._secure = transport.get_extra_info("ssl_object") is not None
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Buffer bytes; stop reading when too many wait."""
        self._buffer += data
        self.received += len(data)
        if len(self._buffer) > READ_AHEAD:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Record that the client sends no more; our half stays open (not possible with TLS)."""
        self.ended = True
        self._news.set()
        return not self._secure

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake all waiting tasks."""
        self.ended = True
        self._news.set()
        self._writable.set()
        self.gone.set()
        self._closed(self)

    def pause_writing(self) -> None:
        """Make ``send`` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let ``send`` continue."""
        self._writable.set()

    async def arrival(self) -> None:
        """Wait until there are unread bytes.

        Raises:
            Over: No more bytes will come.
        """
        if not self._buffer:
            await self._grow()

    async def take(self, count: int) -> bytes:
        """Read exactly this many bytes."""
        while len(self._buffer) < count:
            await self._grow()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def take_to(self, mark: bytes) -> bytes:
        """Read up to a mark; return the bytes before it."""
        while (at := self._buffer.find(mark)) < 0:
            await self._grow()
        taken = await self.take(at + len(mark))
        return taken.removesuffix(mark)

    async def drain(self) -> None:
        """Read and drop everything until the client ends."""
        while True:
            self._buffer.clear()
            await self._grow()

    async def send(self, data: bytes) -> None:
        """Pass bytes to the system; wait while it accepts no more, and let the event loop turn once."""
        if self.gone.is_set():
            raise Over
        self._transport.write(data)
        await self._writable.wait()
        await asyncio.sleep(0)

    def finish(self) -> None:
        """Close the sending half."""
        self._transport.write_eof()

    def reset(self) -> None:
        """Break the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    def hang_up(self) -> None:
        """Send the end of the stream now, and a reset to all later bytes; no turn of the event loop is needed."""
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def speak(self, data: bytes) -> None:
        """Pass bytes to the system now."""
        if not self.gone.is_set():
            self._transport.write(data)

    async def close(self) -> None:
        """Send the remaining bytes and close."""
        self._transport.close()
        await self.gone.wait()

    def abort(self) -> None:
        """Close without sending the remaining bytes."""
        self._transport.abort()

    async def _grow(self) -> None:
        size = len(self._buffer)
        while len(self._buffer) == size:
            if self.ended:
                raise Over
            self._transport.resume_reading()
            self._news.clear()
            await self._news.wait()
