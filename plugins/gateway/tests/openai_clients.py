"""A gateway in front of a scripted provider, and the official SDK's clients in front of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai

from localagent_testing import fake_provider_plugin, sse


@asynccontextmanager
async def asking(serve: Any, reply: Any = None, **fake: Any) -> AsyncIterator[tuple[openai.AsyncOpenAI, Any]]:
    """Serve a reply; yield the SDK's client and the list of what the provider is asked."""
    provider = fake_provider_plugin(reply, **fake)
    async with (
        serve(plugins=[provider]) as served,
        openai.AsyncOpenAI(base_url=served.url + "/v1", api_key="any") as client,
    ):
        yield client, provider.asked


async def in_thread(client: openai.AsyncOpenAI, work: Callable[[openai.OpenAI], Any]) -> Any:
    """Do something with the synchronous client."""

    def run() -> Any:
        with openai.OpenAI(base_url=client.base_url, api_key="any") as other:
            return work(other)

    return await asyncio.to_thread(run)


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """Return a chat chunk as it comes from a server."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse([{"id": "c-1", "object": "chat.completion.chunk", "choices": [choice], **more}])


async def read(stream: Any, into: list[Any]) -> None:
    """Read a stream to its end; what came before an error is kept."""
    async for event in stream:
        into.append(event)  # noqa: PERF401
