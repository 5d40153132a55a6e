"""Servers that speak OpenAI's API over a socket, as providers behind the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from localagent_testing import FaultServer, ReadRequest, Scripts, Send, WirePlugin, chunked, head, sse


def settings_for(url: str, model: str = "m") -> dict[str, Any]:
    """Return settings under which ``up/MODEL`` is asked of the server at an address without a path."""
    return {"default_model": f"up/{model}", "providers": {"up": {"type": "wire", "instances": [url + "/v1"]}}}


@asynccontextmanager
async def forwarding(serve: Any, scripts: Scripts) -> AsyncIterator[tuple[httpx.AsyncClient, FaultServer]]:
    """Serve what a scripted server says; yield a plain HTTP client of the gateway, and the server."""
    async with (
        FaultServer(scripts) as server,
        serve(settings_for(server.url), plugins=[WirePlugin]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        yield http, server


def streamed(*events: bytes, end: bool = True) -> tuple[Any, ...]:
    """Return a script that streams these bytes; without ``end`` the connection is closed in their midst."""
    opening = head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    return (ReadRequest(), Send(opening + chunked([*events, sse(["[DONE]"])] if end else events)))
