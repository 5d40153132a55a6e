"""Writes answers to clients: head and body in one write, or in pieces if they are large.

Sending an answer with aiohttp's own response objects costs more than routing, reading and checking the request
together. Their other features are not needed here: there are no cookies, ranges or compression.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter

from localagent.plugin_api import HttpRequest, HttpResponse, HttpStream
from localagent_gateway.http.stalled_connections import SlowReaders

if TYPE_CHECKING:
    from localagent_gateway.http.connections import WatchedConnection

DRAIN_ABOVE = 64 * 1024
"""Bytes that may be buffered for a client before the answer waits, too."""
PIECE = 256 * 1024
"""Bytes that are written at a time: the transport buffers little more than this for a slow client."""
BODILESS = frozenset({204, 304})


class Sent(web.StreamResponse):
    """Tells aiohttp that an answer was written, and whether the connection is kept.

    Args:
        keep: Whether the connection is kept.
    """

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self._keep = keep

    @property
    def keep_alive(self) -> bool:
        """Whether the connection is kept."""
        return self._keep

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: the head is already written."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body is already written."""


class Sender:
    """Writes answers.

    Args:
        readers: Closes connections whose client does not read.
        wall_time: Returns the seconds since the epoch.
    """

    def __init__(self, readers: SlowReaders, wall_time: Callable[[], float]) -> None:
        self._readers = readers
        self._wall_time = wall_time
        self._second = 0
        self._date = ""
        self._kept, self._closed = Sent(keep=True), Sent(keep=False)

    async def send(
        self, request: web.BaseRequest, incoming: HttpRequest, answer: HttpResponse | HttpStream, *, close: bool
    ) -> web.StreamResponse:
        """Write an answer.

        Args:
            request: The request.
            incoming: The same request as the handler's record.
            answer: The answer.
            close: Whether the connection is closed afterwards.

        Raises:
            ConnectionError: The client has left.
            Exception: The answer is invalid, or its stream failed; a part of it may have been written.
        """
        old = request.version == HttpVersion10
        keep = request.keep_alive and not close and answer.headers.get("connection") != "close"
        if isinstance(answer, HttpStream):
            keep = keep and not old
            await self._stream(request, self._head(incoming, answer, 200, "", old=old, keep=keep), answer, old=old)
        else:
            bodiless = answer.status in BODILESS
            length = "" if bodiless else f"Content-Length: {len(answer.body)}\r\n"
            head = self._head(incoming, answer, answer.status, length, old=old, keep=keep)
            await self._write(request, head, b"" if bodiless or incoming.method == "HEAD" else answer.body)
        return self._kept if keep else self._closed

    def break_off(self, request: web.BaseRequest) -> web.StreamResponse:
        """Close the connection of an unfinished answer without an end of the body, so that the client notices."""
        transport = request.transport
        if transport is not None and request.version == HttpVersion10:
            # A plain close would look like the end of the body, so the connection is reset.
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return self._closed

    def _head(
        self,
        incoming: HttpRequest,
        answer: HttpResponse | HttpStream,
        status: int,
        length: str,
        *,
        old: bool,
        keep: bool,
    ) -> bytes:
        if isinstance(answer, HttpStream) and not old:
            length = "Transfer-Encoding: chunked\r\n"
        connection = ""
        if keep is old:  # not the default of this version of HTTP
            connection = "Connection: keep-alive\r\n" if keep else "Connection: close\r\n"
        text = (
            f"HTTP/1.{0 if old else 1} {_STATUS_LINES.get(status) or _status_line(status)}\r\n"
            f"Content-Type: {answer.content_type}\r\n{length}Date: {self._now()}\r\nx-request-id: {incoming.id}\r\n"
            f"{connection}"
        )
        text += "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items() if name != "connection"])
        _check(text, 4 + bool(length) + bool(connection) + len(answer.headers) - ("connection" in answer.headers))
        return (text + "\r\n").encode()

    def _now(self) -> str:
        """Return the time in the format of headers, built once a second."""
        now = int(self._wall_time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True)
        return self._date

    async def _stream(self, request: web.BaseRequest, head: bytes, answer: HttpStream, *, old: bool) -> None:
        """Write a stream: the head with the first piece, the end with the last."""
        chunks = answer.body
        try:
            ended = request.method == "HEAD"
            if ended:
                await self._write(request, head, b"")
            while not ended:
                data = await chunks.read_chunk()
                ended = not data or getattr(chunks, "ended", False)  # optional in other plugins' streams
                if not old:
                    data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if ended else b"")
                if len(data) > PIECE:
                    await self._write(request, head, data)
                elif self._put(request, head + data):
                    await request.writer.drain()
                head = b""
        finally:
            await chunks.aclose()

    async def _write(self, request: web.BaseRequest, head: bytes, body: bytes) -> None:
        """Write bytes; wait for the client while more than ``DRAIN_ABOVE`` is unread."""
        rest = memoryview(body)
        if self._put(request, head + rest[:PIECE]):
            await request.writer.drain()
        for start in range(PIECE, len(rest), PIECE):
            if self._put(request, rest[start : start + PIECE]):
                await request.writer.drain()

    def _put(self, request: web.BaseRequest, data: bytes | memoryview) -> bool:
        """Write bytes; return whether so much is unread that the caller has to wait for the client."""
        transport, connection = request.transport, cast("WatchedConnection", request.protocol)
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The client has left.")
        request.writer.output_size += len(data)  # shows aiohttp that an answer has begun
        connection.written += len(data)
        transport.write(data)
        left = transport.get_write_buffer_size()
        if left:
            self._readers.watch(transport, connection)
        return left > DRAIN_ABOVE


def has_left(request: web.BaseRequest) -> bool:
    """Return whether the client has disconnected."""
    return request.transport is None or request.transport.is_closing()


def _check(text: str, lines: int) -> None:
    """Refuse a head in which a header's value would start another header: count the line ends to find out."""
    if text.count("\r") != lines or text.count("\n") != lines or "\0" in text:
        raise ValueError("A header of the answer contains characters that HTTP forbids.")


def _status_line(status: object) -> str:  # a plugin's answer may contain anything
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise ValueError("The status of the answer is not an HTTP status.")
    return f"{status} {HTTPStatus(status).phrase if status in _KNOWN else ''}"


_KNOWN = frozenset(int(status) for status in HTTPStatus if status >= 200)
_STATUS_LINES: Mapping[int, str] = {status: _status_line(status) for status in _KNOWN}
