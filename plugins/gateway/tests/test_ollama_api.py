"""Ollama's API, asked by Ollama's own clients."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import ollama
import pytest

from localagent import Overloaded, StreamInterrupted, UpstreamServerError
from localagent.testing import Reply, fake_provider_plugin

HELLO = [{"role": "user", "content": "Hi"}]
PIECES = Reply(pieces=("Hel", "lo."))


def asked(fake: Any) -> dict[str, Any]:
    """The document that the only request reached the provider with."""
    (only,) = fake.asked
    return dict(only.attempt.request.document)


async def test_a_chat_is_answered_whole(serve: Any) -> None:
    """With the answering model, why it ended, its tokens, and the time that it took."""
    async with (
        serve(plugins=[fake_provider_plugin(Reply("Hello."))]) as served,
        ollama.AsyncClient(served.url, trust_env=False) as client,
    ):
        answer = await client.chat("fake/m", HELLO)
    assert answer.message.content == "Hello."
    assert (answer.model, answer.done, answer.done_reason) == ("fake/m", True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (3, 2)
    assert answer.total_duration is not None
    assert answer.total_duration > 0


async def test_a_chat_is_streamed(serve: Any) -> None:
    """Piece by piece; the last line alone is done, and has tokens and times."""
    fake = fake_provider_plugin(PIECES)
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        lines = [line async for line in await client.chat("fake/m", HELLO, stream=True)]
    assert [line.message.content for line in lines] == ["Hel", "lo.", ""]
    assert [line.done for line in lines] == [False, False, True]
    last = lines[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 3, 2)
    assert last.total_duration == last.prompt_eval_duration + last.eval_duration
    assert asked(fake)["stream_options"] == {"include_usage": True}


async def test_streams_are_the_default(serve: Any) -> None:
    """A body that says nothing of it gets lines of JSON."""
    async with (
        serve(plugins=[fake_provider_plugin(PIECES)]) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answer = await http.post("/api/chat", json={"model": "fake/m", "messages": HELLO})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.text.splitlines()) == 3
