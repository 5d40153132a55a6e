"""Clients of this project, with the plugins that a case wants and no others."""

from __future__ import annotations

from typing import Any

from answers import KEY, MESSAGES, MODEL, TEXT, words
from measure import Run

from localagent import Client, Plugin
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_openai import OpenAIPlugin

TARGET = f"local/{MODEL}"
NOWHERE = "http://127.0.0.1:1"


def client(server: str = NOWHERE, *plugins: type[Plugin] | Plugin) -> Client:
    """Return a client of one OpenAI-compatible instance; without further plugins it optimises nothing.

    Args:
        server: Address of the instance, without ``/v1``. Nothing listens at the default.
        plugins: Plugins beside the provider's own.
    """
    provider = {"type": "openai", "instances": [f"{server}/v1"], "keys": [{"env": "BENCH_KEY"}]}
    settings = {"providers": {"local": provider}}
    return Client(settings, plugins=[AiohttpConnectPlugin, OpenAIPlugin, *plugins], environment={"BENCH_KEY": KEY})


def chats(client: Client, messages: list[dict[str, Any]] = MESSAGES) -> Run:
    """Return what sends chats, one after the other."""

    async def run(number: int) -> None:
        for _ in range(number):
            response = await client.chat(messages, model=TARGET, temperature=0.5)
            assert response.text == TEXT

    return run


def streams(client: Client, texts: list[str] | None = None) -> Run:
    """Return what reads streams to their end, one after the other."""
    expected = words() if texts is None else texts

    async def run(number: int) -> None:
        for _ in range(number):
            async with client.stream(MESSAGES, model=TARGET, temperature=0.5) as stream:
                got = [chunk.text async for chunk in stream]
            assert got[1:-1] == expected

    return run
