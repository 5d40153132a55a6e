"""Reads the body of one request, within the limits for one body and for all bodies together."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import HttpVersion11, web

from localagent_gateway.errors import Busy, Malformed, TooLarge, TooSlow, WrongEncoding
from localagent_gateway.http.connections import CountedServer
from localagent_gateway.http.malformed import Connection
from localagent_gateway.settings import GatewaySettings

SMALL = 64 * 1024
"""The largest body, in bytes, that may use the quarter of the budget that large bodies leave free."""
ReadBody = Callable[[], Awaitable[bytes]]
"""Reads the body of a request; see ``BodyReading.read``."""


class BodyBudget:
    """The bytes of the bodies that are being read, and of the requests that are being answered.

    Args:
        limit: The most bytes; a quarter of them is reserved for small bodies, so that large ones cannot block them.

    Attributes:
        held: The bytes that are held now.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def open(self) -> BodyShare:
        """Return a new, empty share for one body."""
        return BodyShare(self)


class BodyShare:
    """The bytes that one body takes of the budget.

    Args:
        budget: The budget.
    """

    __slots__ = ("_budget", "_bytes")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._bytes = 0

    def check(self, more: int = 0) -> None:
        """Refuse a body that does not fit into the budget.

        Args:
            more: Bytes by which it is about to grow.

        Raises:
            Busy: The body does not fit.
        """
        budget = self._budget
        limit = budget.limit if self._bytes + more <= SMALL else budget.limit // 4 * 3
        if budget.held + more > limit:
            raise Busy("The bodies of other requests use all the memory for bodies.",
                       hint="Send the request again.", retry_after=1.0)  # fmt: skip

    def take(self, more: int) -> None:
        """Take more bytes.

        Raises:
            Busy: There is no room for them.
        """
        self.check(more)
        self._bytes += more
        self._budget.held += more

    def close(self) -> None:
        """Release all bytes; idempotent."""
        self._budget.held -= self._bytes
        self._bytes = 0


class BodyReading:
    """The body of one request; it is neither read nor requested before ``read`` is called.

    Args:
        request: The request.
        settings: The gateway's settings.
        budget: The budget for the bodies of all requests.
        server: Learns when the connection waits for its client.
    """

    __slots__ = ("_failed", "_request", "_server", "_settings", "_share")

    def __init__(
        self, request: web.BaseRequest, settings: GatewaySettings, budget: BodyBudget, server: CountedServer
    ) -> None:
        self._request = request
        self._settings = settings
        self._share = budget.open()
        self._server = server
        self._failed = False

    async def read(self) -> bytes:
        """Return the body; empty if the request has no body.

        Raises:
            InvalidRequest: The body is too large, too slow, compressed, or not well-formed HTTP.
            Busy: The bodies of other requests leave no room for it.
        """
        self._failed = True
        body = await self._read() if self._request.can_read_body else b""
        self._failed = False
        return body

    @property
    def unread(self) -> bool:
        """Whether a part of the body was not read, so that no further request can be read from the connection."""
        return self._failed or (self._request.can_read_body and not self._request.content.is_eof())

    def close(self) -> None:
        """Release the body's share of the budget."""
        self._share.close()

    async def _read(self) -> bytes:
        request, limit = self._request, self._settings.max_body
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise WrongEncoding("Compressed request bodies are not supported.")
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        try:
            if request.content.is_eof() and request.content_length is not None:
                self._share.take(request.content_length)
                return request.content.read_nowait()
            return await self._arriving()
        except web.RequestPayloadError:
            failure = cast(Connection, request.protocol).failure
            raise failure or Malformed("The framing of the body is not well-formed HTTP.") from None
        except TimeoutError:
            raise TooSlow("The body did not arrive in time.") from None

    async def _arriving(self) -> bytes:
        limit, share = self._settings.max_body, self._share
        share.check(self._request.content_length or 0)
        body = io.BytesIO()
        async with asyncio.timeout(self._settings.body_timeout):
            with self._waiting():
                await _invite(self._request)
                while part := await self._request.content.readany():
                    share.take(len(part))
                    if body.tell() + len(part) > limit:
                        raise _too_large(limit)
                    body.write(part)
        return body.getvalue()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Record that the connection waits for its client: such connections are the first to be closed at the limit."""
        protocol = self._request.protocol
        self._server.waits(protocol)
        try:
            yield
        finally:
            self._server.works(protocol)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")


async def _invite(request: web.BaseRequest) -> None:
    """Request the body if its sender waits for ``100 Continue`` (RFC 9110, section 10.1.1)."""
    if request.headers.get("expect", "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
