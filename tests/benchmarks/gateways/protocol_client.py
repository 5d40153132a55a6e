"""A bare HTTP/1.1 client: ``asyncio.Protocol``, ``httptools``, a list of connections that are kept.

It measures a bound and is no client to use: without TLS, time limits, redirects, back-pressure, or a second try when a
kept connection turns out to be closed.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

import httptools
from answers import KEY, PATH


class Receiver(Protocol):
    """Receives an answer, part by part."""

    def head_arrived(self, status: int, length: int | None) -> None:
        """Take the status, and the length of the body if the head has it."""

    def piece(self, data: bytes) -> None:
        """Take a part of the body."""

    def ended(self) -> None:
        """Hear that the answer is whole."""

    def failed(self, error: Exception) -> None:
        """Hear that the connection was lost, or did not speak HTTP."""


class ProtocolClient:
    """Posts chats to one upstream, each on a connection that nobody else uses meanwhile.

    Args:
        upstream: The upstream's port.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{upstream}\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._idle: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()

    def post(self, body: bytes, receiver: Receiver) -> None:
        """Send a chat; the answer goes to the receiver, not before this returns."""
        request = b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
        if self._idle:
            self._idle.pop().send(request, receiver)
            return
        task = asyncio.create_task(self._open(request, receiver))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, request: bytes, receiver: Receiver) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: _Connection(self._idle), "127.0.0.1", self._upstream)
        except OSError as error:
            receiver.failed(error)
        else:
            connection.send(request, receiver)


class _Connection(asyncio.Protocol):
    """One connection; it goes back to the idle ones at the end of an answer.

    Args:
        idle: The connections that wait for a request.
    """

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._receiver: Receiver | None = None
        self._length: int | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def send(self, request: bytes, receiver: Receiver) -> None:
        """Send a request."""
        self._receiver = receiver
        self._length = None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        self._fail(error or ConnectionError("the upstream closed the connection"))

    def _fail(self, error: Exception) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.failed(error)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line from the parser."""
        if name.lower() == b"content-length":
            self._length = int(value)

    def on_headers_complete(self) -> None:
        """Hear from the parser that the body comes next."""
        assert self._receiver is not None
        self._receiver.head_arrived(self._parser.get_status_code(), self._length)

    def on_body(self, data: bytes) -> None:
        """Take a part of the body from the parser."""
        assert self._receiver is not None
        self._receiver.piece(data)

    def on_message_complete(self) -> None:
        """Hear from the parser that the answer is whole."""
        receiver, self._receiver = self._receiver, None
        assert receiver is not None
        if self._parser.should_keep_alive():
            self._idle.append(self)
        else:
            self._transport.close()
        receiver.ended()
