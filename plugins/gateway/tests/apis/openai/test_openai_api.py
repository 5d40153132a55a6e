"""OpenAI's API, asked by hand."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

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


STRANGE: list[Any] = [
    None,
    [],
    {},
    3,
    True,
    ["Hi", 3],
    [None],
    [[]],
    [[1], []],
    [[1, "a"]],
    [[[1]]],
    [{"text": "Hi"}],
    "missing",
]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("given", STRANGE)
async def test_what_no_server_could_read_is_refused_by_name(serve: Any, path: str, given: Any) -> None:
    """Nothing, an empty list, and lists of something else than texts or tokens; nobody is asked."""
    name = "prompt" if path == "/v1/completions" else "input"
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        reported = await http.post(path, json={} if given == "missing" else {name: given})
    error = reported.json()["error"]
    assert (reported.status_code, error["type"], error["param"]) == (400, "invalid_request_error", name)
    assert f"The field {name} " in error["message"]
    assert fake.asked == []


@pytest.mark.parametrize("given", ["Hi", ["Hi", "Ho"], [1, 0, 2], [[1, 2], [0]], [""]])
async def test_texts_and_tokens_are_passed_on(serve: Any, given: Any) -> None:
    """As they came, to be continued or embedded."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        await http.post("/v1/completions", json={"prompt": given})
        await http.post("/v1/embeddings", json={"input": given})
    prompt, inputs = (one.attempt.request for one in fake.asked)
    assert (prompt.get("prompt"), inputs.get("input")) == (given, given)


async def test_a_prompt_may_be_empty_or_embeddings_and_an_input_may_not(serve: Any) -> None:
    """A model can begin a text of its own, and vLLM takes ``prompt_embeds``; of no text there is no embedding."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        empty = await http.post("/v1/completions", json={"prompt": ""})
        embeds = await http.post("/v1/completions", json={"prompt_embeds": "AAAA"})
        nothing = await http.post("/v1/embeddings", json={"input": ""})
    assert (empty.status_code, embeds.status_code, nothing.status_code) == (200, 200, 400)
