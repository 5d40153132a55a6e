"""The baseline: a proxy of aiohttp alone, that parses the body and forwards it through one shared session.

Run as ``python -m gateways.bare_proxy UPSTREAM LOOP``; see ``program``.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from answers import KEY, PATH

from gateways.program import run, serve_with_aiohttp

_decode = msgspec.json.Decoder().decode
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}


class Proxy:
    """Forwards chats."""

    def __init__(self, upstream: int, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{upstream}{PATH}"
        self._session = session

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Forward one request, streamed or not."""
        body = await request.read()
        document: dict[str, Any] = _decode(body)
        async with self._session.post(self._url, data=body, headers=HEADERS) as answer:
            if document.get("stream"):
                return await self._stream(request, answer)
            data = await answer.read()
            return web.Response(body=data, status=answer.status, content_type="application/json")

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for data in answer.content.iter_any():
            await response.write(data)
        await response.write_eof()
        return response


async def serve(upstream: int) -> None:
    """Serve until the standard input closes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await serve_with_aiohttp(Proxy(upstream, session).chat)


if __name__ == "__main__":
    run(serve)
