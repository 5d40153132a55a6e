"""OpenAI's API, asked by hand."""

from __future__ import annotations

from typing import Any

import httpx

from localagent_testing import Reply, fake_provider_plugin


async def test_a_chat_is_answered_with_the_servers_own_bytes(serve: Any) -> None:
    """The document of the upstream goes out unchanged, with the model and the request's id in headers."""
    fake = fake_provider_plugin({"a": Reply("Hello.")})
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."
    assert answer.headers["x-request-id"].startswith("req-")


async def test_a_stream_ends_with_its_terminator(serve: Any) -> None:
    """Every event of the upstream, then [DONE]."""
    fake = fake_provider_plugin({"a": Reply(pieces=("Hel", "lo."))})
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        body = {"stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        answer = await http.post("/v1/chat/completions", json=body)
    events = answer.text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    assert '"Hel"' in events[0]
