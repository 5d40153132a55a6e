"""A model server that counts what it is asked and what it answers, and clients of the gateway in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
from aiohttp import web
from processes import Process

from localagent_testing import sse


class CountingServer:
    """A model server that counts what it is asked and what it answers.

    Attributes:
        counts: Requests, and tokens of the answers that were sent whole.
        url: Its base address.
        held: Set when a request came that is never answered.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.url = ""
        self.held = asyncio.Event()
        self.source = random.Random(7)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer as the prompt wants it."""
        if request.method == "GET":
            return web.json_response({"object": "list", "data": [{"id": "m"}]})
        self.counts["asked"] += 1
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        if prompt == "fail":
            self.counts["failed"] += 1
            return web.json_response({"error": {"message": "broken"}}, status=500)
        if prompt == "wait":
            self.held.set()
            await asyncio.Event().wait()
        usage = {"prompt_tokens": self.source.randint(1, 99), "completion_tokens": self.source.randint(1, 99)}
        for name, count in usage.items():
            self.counts[name] += count
        self.counts["answered"] += 1
        if body.get("stream"):
            return await self._stream(request, usage)
        message = {"role": "assistant", "content": "Hello."}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return web.json_response({"id": "1", "choices": choices, "usage": usage})

    async def _stream(self, request: web.BaseRequest, usage: dict[str, int]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for choice in ({"delta": {"content": "Hello."}}, {"delta": {}, "finish_reason": "stop"}):
            await response.write(sse([{"id": "1", "choices": [{"index": 0, "finish_reason": None, **choice}]}]))
        await response.write(sse([{"id": "1", "choices": [], "usage": usage}, "[DONE]"]))
        return response


@contextlib.asynccontextmanager
async def counting_server() -> AsyncIterator[CountingServer]:
    """Run the server on a free port of the loopback interface."""
    made = CountingServer()
    runner = web.ServerRunner(web.Server(made.answer, handler_cancellation=True, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}/v1"
    try:
        yield made
    finally:
        await runner.cleanup()


async def ask(process: Process, prompt: str, **more: Any) -> int:
    """Ask over a connection of its own, so that any worker may answer; return the status."""
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, **more}
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(f"{process.url}/v1/chat/completions", json=body)
    return answer.status_code


async def leave(process: Process, server: CountingServer) -> None:
    """Ask, and leave as soon as the model server has the request."""
    server.held.clear()
    task = asyncio.create_task(ask(process, "wait"))
    await server.held.wait()
    task.cancel()
    await asyncio.wait([task])
