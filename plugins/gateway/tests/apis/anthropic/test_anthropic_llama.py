"""A real llama.cpp server behind the gateway, and Anthropic's own client in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic_clients import client_of, in_thread
from openai_upstreams import settings_for

from localagent_testing import WirePlugin, tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server

ASK: dict[str, Any] = {
    "model": "up/tiny", "messages": [{"role": "user", "content": "Once upon a time"}], "max_tokens": 8,
    "extra_body": {"temperature": 0.0},
    "system": [{"type": "text", "text": "Tell"}, {"type": "text", "text": "a tale."}],
}  # fmt: skip


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """llama.cpp with a tiny model."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model"))) as server:
        yield server


async def test_a_real_server_says_the_same_whole_and_streamed(serve: Any, llama: RealServer) -> None:
    """At temperature 0, asynchronously and in a thread; limit, stop reason and usage hold."""
    async with serve(settings_for(llama.url, "tiny"), plugins=[WirePlugin]) as served, client_of(served.url) as client:
        whole = await client.messages.create(**ASK)
        async with client.messages.stream(**ASK) as stream:
            gathered = await stream.get_final_message()
        other = await in_thread(client, lambda it: it.messages.create(**ASK))
    assert whole.content[0].text == gathered.content[0].text == other.content[0].text != ""
    for message in (whole, gathered, other):
        assert (message.stop_reason, message.usage.output_tokens, message.model) == ("max_tokens", 8, "up/tiny")
    assert whole.usage.input_tokens == gathered.usage.input_tokens > 0


async def test_a_prompt_beyond_the_window_is_a_bad_request(serve: Any, llama: RealServer) -> None:
    """Streamed too: the status still tells."""
    long: Any = {**ASK, "messages": [{"role": "user", "content": "word " * 2000}]}
    async with serve(settings_for(llama.url, "tiny"), plugins=[WirePlugin]) as served, client_of(served.url) as client:
        for streamed in (False, True):
            with pytest.raises(anthropic.BadRequestError):
                await client.messages.create(**long, stream=streamed)
