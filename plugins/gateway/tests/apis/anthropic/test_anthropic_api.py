"""Anthropic's API, asked by hand."""

from __future__ import annotations

from typing import Any

import httpx

from localagent_testing import Reply, fake_provider_plugin

ASKED = {"max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_message_is_answered_with_blocks(serve: Any) -> None:
    """Text, stop reason, usage, the model that answered, and the request's id in a header."""
    fake = fake_provider_plugin(Reply("Hello."))
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post("/v1/messages", json=ASKED)
    reported = answer.json()
    assert answer.status_code == 200
    assert reported["content"] == [{"type": "text", "text": "Hello."}]
    assert (reported["stop_reason"], reported["stop_sequence"], reported["model"]) == ("end_turn", None, "fake/m")
    assert reported["usage"] == {
        "input_tokens": 3,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "output_tokens": 2,
    }
    assert answer.headers["request-id"].startswith("req-")


async def test_a_stream_is_told_by_named_events(serve: Any) -> None:
    """The message's start, one block, its end, and the message's end."""
    fake = fake_provider_plugin(Reply(pieces=("Hel", "lo.")))
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post("/v1/messages", json={**ASKED, "stream": True})
    names = [event.partition("\n")[0].removeprefix("event: ") for event in answer.text.strip().split("\n\n")]
    assert names == ["message_start", "content_block_start", "content_block_delta", "content_block_delta",
                     "content_block_stop", "message_delta", "message_stop"]  # fmt: skip
    assert answer.headers["request-id"].startswith("req-")
