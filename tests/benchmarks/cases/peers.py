"""Other libraries that do the same work, where they are installed: rows to be compared with, without a target."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

from answers import KEY, MESSAGES, MODEL, TEXT, words
from bench import Bench
from gateways.litellm_proxy import WITHDRAWN
from machine import version_of
from measure import Contender, Run, contender

from cases import bare


def may_import_litellm() -> bool:
    """Say whether litellm is installed in a release that can be trusted."""
    return find_spec("litellm") is not None and version_of("litellm") not in WITHDRAWN


@asynccontextmanager
async def chat_peers(bench: Bench) -> AsyncIterator[list[Contender]]:
    """Open the clients of all peers and give contenders that send chats."""
    async with AsyncExitStack() as stack:
        peers = [contender("aiohttp, a session per request", bare.chats_in_new_sessions(bench.server), 0.5)]
        if find_spec("httpx"):
            peers.append(contender("httpx.AsyncClient", await _httpx(stack, bench.server), 0.3))
        if find_spec("openai"):
            peers.append(contender("openai.AsyncOpenAI", await _openai(stack, bench.server), 0.15))
        if bench.peers and may_import_litellm():
            peers.append(contender("litellm.acompletion", _litellm(bench.server), 0.05))
        yield peers


@asynccontextmanager
async def stream_peers(server: str) -> AsyncIterator[list[Contender]]:
    """Open the clients of all peers and give contenders that read streams."""
    async with AsyncExitStack() as stack:
        peers = []
        if find_spec("openai"):
            peers.append(contender("openai.AsyncOpenAI, streamed", await _openai_stream(stack, server), 0.3))
        yield peers


async def _httpx(stack: AsyncExitStack, server: str) -> Run:
    import httpx

    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
    url = f"{server}/v1/chat/completions"

    async def run(number: int) -> None:
        for _ in range(number):
            response = await client.post(url, content=bare.body(), headers=bare.HEADERS)
            assert bare.text_of(response.content) == TEXT

    return run


async def _open_openai(stack: AsyncExitStack, server: str) -> Any:
    import openai

    return await stack.enter_async_context(openai.AsyncOpenAI(base_url=f"{server}/v1", api_key=KEY))


async def _openai(stack: AsyncExitStack, server: str) -> Run:
    client = await _open_openai(stack, server)

    async def run(number: int) -> None:
        for _ in range(number):
            answer = await client.chat.completions.create(messages=MESSAGES, model=MODEL, temperature=0.5)
            assert answer.choices[0].message.content == TEXT

    return run


async def _openai_stream(stack: AsyncExitStack, server: str) -> Run:
    client = await _open_openai(stack, server)

    async def run(number: int) -> None:
        for _ in range(number):
            stream = await client.chat.completions.create(messages=MESSAGES, model=MODEL, temperature=0.5, stream=True)
            got = [chunk.choices[0].delta.content async for chunk in stream]
            assert got[1:-1] == words()

    return run


def _litellm(server: str) -> Run:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import fetches a price list from the internet
    litellm: Any = importlib.import_module("litellm")
    fixed = {"model": f"openai/{MODEL}", "api_base": f"{server}/v1", "api_key": KEY, "temperature": 0.5}

    async def run(number: int) -> None:
        for _ in range(number):
            answer = await litellm.acompletion(messages=MESSAGES, **fixed)
            assert answer.choices[0].message.content == TEXT

    return run
