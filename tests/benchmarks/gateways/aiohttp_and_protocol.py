"""A bound: aiohttp's server, and behind it a bare protocol client instead of aiohttp's session.

Run as ``python -m gateways.aiohttp_and_protocol UPSTREAM LOOP``; see ``program``.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from gateways.program import run, serve_with_aiohttp
from gateways.protocol_client import ProtocolClient

_decode = msgspec.json.Decoder().decode


class Answer:
    """An answer that one task awaits, part by part."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._status = 0
        self._parts: list[bytes] = []
        self._done = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def head_arrived(self, status: int, length: int | None) -> None:
        """Take the status."""
        self._status = status
        self._wake()

    def piece(self, data: bytes) -> None:
        """Take a part of the body."""
        self._parts.append(data)
        self._wake()

    def ended(self) -> None:
        """Hear that the answer is whole."""
        self._done = True
        self._wake()

    def failed(self, error: Exception) -> None:
        """Hear that there will be no more."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        await self._waiter

    async def status(self) -> int:
        """Return the status when it is known."""
        while not self._status:
            await self._more()
        return self._status

    async def read_chunk(self) -> bytes:
        """Return what came of the body; nothing at its end."""
        while not self._parts and not self._done:
            await self._more()
        parts, self._parts = self._parts, []
        return b"".join(parts)

    async def read(self) -> bytes:
        """Return the body when it is whole."""
        while not self._done:
            await self._more()
        return b"".join(self._parts)


class Proxy:
    """Forwards chats."""

    def __init__(self, client: ProtocolClient) -> None:
        self._client = client

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Forward one request, streamed or not."""
        body = await request.read()
        document: dict[str, Any] = _decode(body)
        answer = Answer()
        self._client.post(body, answer)
        if document.get("stream"):
            return await self._stream(request, answer)
        data = await answer.read()
        return web.Response(body=data, status=await answer.status(), content_type="application/json")

    async def _stream(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=await answer.status(), headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while data := await answer.read_chunk():
            await response.write(data)
        await response.write_eof()
        return response


async def serve(upstream: int) -> None:
    """Serve until the standard input closes."""
    await serve_with_aiohttp(Proxy(ProtocolClient(upstream)).chat)


if __name__ == "__main__":
    run(serve)
