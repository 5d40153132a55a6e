"""A real llama.cpp server behind the gateway, and the official SDK in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import openai
import pytest
from openai_clients import in_thread
from openai_upstreams import settings_for

from localagent_testing import WirePlugin, tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server

ASK: dict[str, Any] = {
    "model": "up/tiny", "messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 8,
    "temperature": 0.0,
}  # fmt: skip
Clients = Callable[[], AbstractAsyncContextManager[openai.AsyncOpenAI]]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """llama.cpp with a tiny model."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model"))) as server:
        yield server


@pytest.fixture
def clients(serve: Any, llama: RealServer) -> Clients:
    """Return what opens the SDK's client of a gateway in front of llama.cpp."""

    @asynccontextmanager
    async def opened() -> Any:
        async with (
            serve(settings_for(llama.url, "tiny"), plugins=[WirePlugin]) as served,
            openai.AsyncOpenAI(base_url=served.url + "/v1", api_key="any") as client,
        ):
            yield client

    return opened


async def test_a_chat_says_the_same_whole_and_streamed(clients: Clients) -> None:
    """At temperature 0; the stream has its usage because it was asked for."""
    async with clients() as client:
        whole = await client.chat.completions.create(**ASK)
        asked = {"stream": True, "stream_options": {"include_usage": True}}
        chunks: list[Any] = [chunk async for chunk in await client.chat.completions.create(**ASK, **asked)]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content != ""
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 8


async def test_a_text_is_continued(clients: Clients) -> None:
    """Completions, whole and streamed."""
    ask: dict[str, Any] = {"model": "up/tiny", "prompt": "Once upon", "max_tokens": 8, "temperature": 0.0}
    async with clients() as client:
        whole = await client.completions.create(**ask)
        chunks = [chunk async for chunk in await client.completions.create(**ask, stream=True)]
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text != ""


async def test_texts_are_embedded(clients: Clients) -> None:
    """By the SDK's default encoding and as numbers: the same vectors, one a text."""
    async with clients() as client:
        packed = await client.embeddings.create(model="up/tiny", input=["one", "two"])
        plain = await client.embeddings.create(model="up/tiny", input=["one", "two"], encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, rel=1e-5)


async def test_an_input_is_answered(clients: Clients) -> None:
    """The Responses API says what a chat says, whole and streamed, and the limit of tokens holds."""
    ask: dict[str, Any] = {"model": "up/tiny", "input": "Once upon a time", "max_output_tokens": 8, "temperature": 0.0}
    async with clients() as client:
        chat = await client.chat.completions.create(**ASK)
        whole = await client.responses.create(**ask)
        events: list[Any] = [event async for event in await client.responses.create(**ask, stream=True)]
    assert whole.output_text == events[-1].response.output_text == chat.choices[0].message.content
    assert whole.status == events[-1].response.status == "incomplete"
    assert whole.usage is not None
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens == 8


async def test_a_synchronous_client_is_answered(clients: Clients) -> None:
    """Chat, stream, embeddings and models."""
    async with clients() as client:
        whole = await in_thread(client, lambda it: it.chat.completions.create(**ASK))
        chunks = await in_thread(client, lambda it: list(it.chat.completions.create(**ASK, stream=True)))
        vectors = await in_thread(client, lambda it: it.embeddings.create(model="up/tiny", input="one"))
        model = await in_thread(client, lambda it: it.models.retrieve("up/tiny"))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert len(vectors.data[0].embedding) > 1
    assert model.id == "up/tiny"


async def test_a_prompt_beyond_the_window_is_a_bad_request(clients: Clients) -> None:
    """The code says why, so that programs can shorten it."""
    long = [{"role": "user", "content": "word " * 2000}]
    async with clients() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**ASK | {"messages": long})
    assert caught.value.code == "context_length_exceeded"
