"""A gateway in front of a scripted provider, and the official SDK's clients in front of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anthropic

from localagent import Plugin
from localagent_testing import fake_provider_plugin, sse

ASKED: dict[str, Any] = {"model": "fake/m", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}


@asynccontextmanager
async def asking(
    serve: Any, reply: Any = None, *plugins: type[Plugin], **fake: Any
) -> AsyncIterator[tuple[anthropic.AsyncAnthropic, Any]]:
    """Serve a reply; yield the SDK's client, which does not retry, and the list of what the provider is asked."""
    provider = fake_provider_plugin(reply, **fake)
    async with serve(plugins=[provider, *plugins]) as served, client_of(served.url) as client:
        yield client, provider.asked


def client_of(url: str) -> anthropic.AsyncAnthropic:
    """Return the SDK's client of a gateway."""
    return anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0)


async def in_thread(client: anthropic.AsyncAnthropic, work: Callable[[anthropic.Anthropic], Any]) -> Any:
    """Do something with the synchronous client."""

    def run() -> Any:
        with anthropic.Anthropic(base_url=client.base_url, api_key="any", max_retries=0) as other:
            return work(other)

    return await asyncio.to_thread(run)


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Return a chat chunk as it comes from a server."""
    return sse([{"id": "c-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}])


def called(index: int | None, arguments: str, name: str | None = None, ident: str | None = None) -> bytes:
    """Return a chat chunk with a piece of a tool call."""
    call = {"index": index, "id": ident, "function": {"name": name, "arguments": arguments}}
    return piece({"tool_calls": [{name: value for name, value in call.items() if value is not None}]})


async def read(stream: Any, into: list[Any]) -> None:
    """Read a stream to its end; what came before an error is kept."""
    async for event in stream:
        into.append(event)  # noqa: PERF401
