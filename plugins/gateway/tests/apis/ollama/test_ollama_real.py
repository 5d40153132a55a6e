"""Ollama's clients, the gateway, and a real llama.cpp server behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from openai_upstreams import settings_for

from localagent_testing import WirePlugin, tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "num_predict": 8}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """llama.cpp's server with a tiny model."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model"))) as server:
        yield server


async def test_llama_cpp_answers_clients_of_ollama(serve: Any, llama: RealServer) -> None:
    """Chats, texts, schemas, embeddings and lists, with llama.cpp's own token counts and times."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}}, "required": ["n"]}
    async with (
        serve(settings_for(llama.url), plugins=[WirePlugin]) as served,
        ollama.AsyncClient(served.url, trust_env=False) as client,
    ):
        (row,) = (await client.list()).models
        assert row.model == "up/tiny"
        whole = await client.chat("up/tiny", HELLO, options=GREEDY)
        lines = [line async for line in await client.chat("up/tiny:latest", HELLO, stream=True, options=GREEDY)]
        text = await client.generate("up/tiny", "Once upon", raw=True, options=GREEDY)
        shaped = await client.chat("up/tiny", HELLO, format=schema, options={"temperature": 0})
        vectors = (await client.embed("up/tiny", ["Hello", "Paris", "Hello"])).embeddings

    assert whole.message.content
    assert whole.message.content == "".join(line.message.content or "" for line in lines)
    assert (whole.done_reason, whole.eval_count) == ("length", 8)
    last = lines[-1]
    assert (last.done_reason, last.eval_count, last.prompt_eval_count) == ("length", 8, whole.prompt_eval_count)
    for one in (whole, last):
        assert 0 < one.prompt_eval_duration + one.eval_duration <= one.total_duration
    assert text.response
    assert isinstance(json.loads(shaped.message.content or "")["n"], int)
    assert vectors[0] == pytest.approx(vectors[2])
    assert vectors[0] != pytest.approx(vectors[1])
