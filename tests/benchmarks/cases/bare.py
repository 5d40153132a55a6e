"""The baselines: aiohttp and msgspec with nothing around them, doing what an answer needs and no more."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
from answers import KEY, MESSAGES, MODEL, TEXT, words
from measure import Run

HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def body(**fields: Any) -> bytes:
    """Encode the request."""
    return _encode({"messages": MESSAGES, "temperature": 0.5, "model": MODEL, **fields})


def text_of(raw: bytes) -> str:
    """Decode an answer and return its text."""
    text: str = _decode(raw)["choices"][0]["message"]["content"]
    return text


def chats(session: aiohttp.ClientSession, server: str) -> Run:
    """Return what posts chats through one session, one after the other."""
    url = f"{server}/v1/chat/completions"

    async def run(number: int) -> None:
        for _ in range(number):
            async with session.post(url, data=body(), headers=HEADERS) as response:
                assert text_of(await response.read()) == TEXT

    return run


def chats_in_new_sessions(server: str) -> Run:
    """Return what opens a session, and with it a connection, for every chat."""

    async def run(number: int) -> None:
        for _ in range(number):
            async with aiohttp.ClientSession() as session:
                await chats(session, server)(1)

    return run


def streams(session: aiohttp.ClientSession, server: str, reads: list[int] | None = None) -> Run:
    """Return what posts chats, splits the events of the answer and decodes each.

    Args:
        session: The session.
        server: The address, with the part of the path that says in how many pieces the answer comes.
        reads: Gets the number of reads that each stream took.
    """
    url = f"{server}/v1/chat/completions"

    async def run(number: int) -> None:
        for _ in range(number):
            async with session.post(url, data=body(stream=True), headers=HEADERS) as response:
                got, count = await _texts(response)
            assert got[1:-1] == words()
            if reads is not None:
                reads.append(count)

    return run


async def _texts(response: aiohttp.ClientResponse) -> tuple[list[str], int]:
    texts: list[str] = []
    rest = b""
    reads = 0
    async for data in response.content.iter_any():
        reads += 1
        *events, rest = (rest + data).split(b"\n\n")
        for event in events:
            payload = event[6:]
            if payload != b"[DONE]":
                texts.append(_decode(payload)["choices"][0]["delta"].get("content", ""))
    return texts, reads


def at_once(run: Run, callers: int) -> Run:
    """Return what shares the operations among callers that work at the same time."""

    async def run_all(number: int) -> None:
        await asyncio.gather(*(run(number // callers) for _ in range(callers)))

    return run_all
