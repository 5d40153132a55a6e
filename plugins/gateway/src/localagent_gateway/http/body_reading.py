"""Reads the body of one request, within the limits of one body and of all of them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import HttpVersion11, web

from localagent_gateway.errors import Malformed, TooLarge, TooSlow, WrongEncoding
from localagent_gateway.http.body_budget import BodyBudget
from localagent_gateway.http.connections import CountedServer
from localagent_gateway.http.malformed import Connection
from localagent_gateway.settings import GatewaySettings

ReadBody = Callable[[], Awaitable[bytes]]
"""What reads the body of a request; see ``BodyReading.read``."""


class BodyReading:
    """The body of one request: nothing of it is read, or asked for, before ``read`` is called.

    Args:
        request: The request.
        settings: The gateway's settings.
        budget: What the bodies of all requests may take.
        server: Hears that the client is waited for.
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
        """Return the body; empty when there is none.

        Raises:
            InvalidRequest: It is too large, too slow, compressed, or not framed as HTTP asks for.
            Busy: The bodies of other requests leave no room for it.
        """
        self._failed = True
        body = await self._read() if self._request.can_read_body else b""
        self._failed = False
        return body

    @property
    def unread(self) -> bool:
        """Whether a part of the body was not taken: what stands behind it on the connection is no request."""
        return self._failed or (self._request.can_read_body and not self._request.content.is_eof())

    def close(self) -> None:
        """Give back what the body takes."""
        self._share.close()

    async def _read(self) -> bytes:
        request, limit = self._request, self._settings.max_body
        if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise WrongEncoding("Bodies are taken as they are, not compressed.")
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        try:
            if request.content.is_eof() and request.content_length is not None:
                self._share.take(request.content_length)
                return request.content.read_nowait()
            return await self._arriving()
        except web.RequestPayloadError:
            failure = cast(Connection, request.protocol).failure
            raise failure or Malformed("The body is not framed as HTTP asks for.") from None
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
        """Say that the connection waits for its client; where places are short such connections are closed first."""
        protocol = self._request.protocol
        self._server.waits(protocol)
        try:
            yield
        finally:
            self._server.works(protocol)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.")


async def _invite(request: web.BaseRequest) -> None:
    """Ask for the body when its sender waits to be asked (RFC 9110, section 10.1.1)."""
    if request.headers.get("expect", "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
