"""The baseline: a proxy of aiohttp alone, that parses the body and forwards it through one shared session.

Run as a program: ``bare_proxy.py UPSTREAM LOOP`` prints its port and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

_decode = msgspec.json.Decoder().decode
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer a-key-for-the-loopback"}


class Proxy:
    """Forwards chats."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{upstream}/v1/chat/completions"
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


async def serve(upstream: str) -> None:
    """Serve until the standard input closes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", Proxy(upstream, session).chat)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
        await site.start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await runner.cleanup()


def main() -> None:
    """Serve on the event loop that the command line names."""
    upstream, loop = sys.argv[1:]
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(upstream))


if __name__ == "__main__":
    main()
