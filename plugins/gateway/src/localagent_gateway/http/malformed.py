"""Malformed requests: they are answered with an error at once, and their bytes are never logged.

aiohttp itself logs the offending bytes, which may contain a key. It lets the reader of a broken body wait for the rest,
and it closes connections in a way that makes a client that is still sending lose the answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import _ErrInfo

from localagent.errors import InvalidRequest
from localagent_gateway.errors import HeadersTooLarge, Malformed, TargetTooLong
from localagent_gateway.http.sending import Sent

MOST_TARGET = 8190
"""The longest target of a request, in bytes."""
MOST_FIELD = MOST_TARGET + 1
"""The longest header, in bytes; differs from ``MOST_TARGET``, so that the parser's error shows which limit applied."""
LINGER_SECONDS = 2.0  # for the rest of the unread bytes, so that their sender reads the answer

_LINE = re.compile(rb"(?:\r?\n)*([A-Z]{1,20}) (/[^ ?#\r\n]*)")


class Connection(web.RequestHandler):
    """One connection of a client.

    Attributes:
        head: The beginning of a head that is incomplete or was refused.
        failure: Why the gateway reads nothing further; None while it reads.
    """

    __slots__ = ("failure", "head")

    def __init__(self, server: web.Server, **options: object) -> None:
        super().__init__(server, max_line_size=MOST_TARGET, max_field_size=MOST_FIELD, **options)  # type: ignore[arg-type]
        self.head = b""
        self.failure: InvalidRequest | None = None

    def data_received(self, data: bytes) -> None:
        """Process bytes; wake the reader of a body that turns out to be broken."""
        messages, request = self._messages, self._current_request
        if not messages and (request is None or request.content.is_eof()):
            self.head = (self.head + data)[:MOST_TARGET]
        super().data_received(data)
        if not messages:
            return
        last = messages[-1][0]
        if not isinstance(last, _ErrInfo):
            self.head = b""
        elif request is not None and not request.content.is_eof():
            self.failure = _error(last.exc)
            request.content.set_exception(web.RequestPayloadError("The body is broken."))
            request.content.feed_eof()
            self.close()

    def _make_error_handler(self, err_info: _ErrInfo) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        malformed, error = self._manager.malformed, _error(err_info.exc)  # type: ignore[union-attr]

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            self.failure = error
            request._version = HttpVersion11
            return await malformed(request, error, *_begun(self.head))  # type: ignore[no-any-return]

        return handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Close the connection: the client has left, or the error cannot be sent; the failure is already logged.

        Raises:
            ConnectionError: Always.
        """
        raise exc if isinstance(exc, ConnectionError) else ConnectionError("The error cannot be sent.")


class Lingering(Sent):
    """Closes a connection whose client may be sending; a plain close would reset it before the client reads the answer.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(keep=False)
        self._connection = connection

    async def write_eof(self, data: bytes = b"") -> None:
        """Close our side, then drop the client's bytes until it closes its side or ``LINGER_SECONDS`` have passed."""
        self._connection.close()
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            transport.write_eof()
            await asyncio.sleep(LINGER_SECONDS)  # cancelled when the client closes


def _error(error: BaseException) -> InvalidRequest:
    """Return the error for a head that aiohttp's parser refused."""
    if isinstance(error, LineTooLong) and error.args[1] == MOST_TARGET:
        return TargetTooLong(f"The address of the request is longer than {MOST_TARGET} bytes.")
    if isinstance(error, LineTooLong) or str(getattr(error, "message", "")).startswith("Too many headers"):
        return HeadersTooLarge("The headers are too large or too many.", hint="Send fewer or shorter headers.")
    return Malformed("The request is not well-formed HTTP.")


def _begun(head: bytes) -> tuple[str, str]:
    """Return the method and path of an incomplete head; empty strings if it does not show them."""
    found = _LINE.match(head)
    return ("", "") if found is None else (found[1].decode(), unquote(found[2].decode("latin-1")))
