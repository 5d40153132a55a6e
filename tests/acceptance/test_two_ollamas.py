"""Ollama's API at the gateway, and behind it: what a client says survives the way through OpenAI's schema."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import ollama
import pytest

from localagent import Client
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_gateway import GatewayPlugin, GatewaySettings
from localagent_gateway.apis.ollama.requests import chat_request, embed_request, generate_request
from localagent_gateway.http.sockets import bind
from localagent_gateway.processes.worker import running
from localagent_provider_ollama import OllamaPlugin, OllamaSettings
from localagent_provider_ollama.bodies import chat_body, completion_body, embedding_body
from localagent_testing import tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server, ollama_proxy

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "num_predict": 8}
NO_SETTINGS = OllamaSettings()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that somebody else wrote to Ollama's API, in front of llama.cpp with a tiny model."""
    with llama_server(tiny_gguf(tmp_path_factory.mktemp("model"))) as llama, ollama_proxy(llama.url) as server:
        yield server


@contextlib.asynccontextmanager
async def serving(behind: str) -> AsyncIterator[str]:
    """A gateway in front of an Ollama; its address."""
    settings = GatewaySettings(port=0, log="none")
    sockets = bind(settings)
    host, port = sockets[0].getsockname()[:2]
    providers = {"providers": {"ollama": {"instances": [behind]}}}
    async with (
        Client(providers, plugins=[GatewayPlugin, AiohttpConnectPlugin, OllamaPlugin]) as client,
        running(client, settings, sockets),
    ):
        yield f"http://{host}:{port}"


CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What is this?", "images": ["iVBORw0KGgoAAAAN"]},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"deep": 1.50}}}],
        },
        {"role": "tool", "content": "A cat.", "tool_name": "look", "tool_call_id": "c1"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
    "format": {"type": "object"},
    "think": True,
    "keep_alive": "-1s",
    "options": {
        "num_ctx": 4096, "num_predict": 7, "temperature": 0.1, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "seed": 1,
        "stop": ["."], "repeat_penalty": 1.2, "repeat_last_n": 3, "num_gpu": 0, "frequency_penalty": 0.1,
    },
    "stream": True,
}  # fmt: skip


def test_a_chat_survives_the_way_to_another_ollama() -> None:
    """Said in the OpenAI schema, and by the provider for Ollama in Ollama's again, it is the chat that came."""
    document = chat_request(CHAT, streamed=True).document
    assert chat_body(document, "m", NO_SETTINGS, stream=True) == CHAT


def test_a_raw_text_and_embeddings_survive_the_way_as_well() -> None:
    """Field for field."""
    raw = {"model": "m", "prompt": "Hi", "raw": True, "keep_alive": 5, "options": {"num_ctx": 64, "numa": True}}
    sent = completion_body(generate_request(raw, streamed=False).document, "m", NO_SETTINGS, stream=False)
    assert sent == {**raw, "stream": False}
    embed = {"model": "m", "input": ["a"], "truncate": True, "dimensions": 8, "options": {"num_ctx": 64}}
    assert embedding_body(embed_request(embed).document, "m", NO_SETTINGS) == embed


async def test_another_ollama_answers_through_the_gateway(proxy: RealServer) -> None:
    """Nothing is lost between the two of the same tongue: options, what else it is told, and its times."""
    name = f"ollama/{proxy.model}"
    async with (
        serving(proxy.url) as url,
        ollama.AsyncClient(url, trust_env=False) as client,
    ):
        options = {**GREEDY, "num_ctx": 256, "num_gpu": 0}
        whole = await client.chat(name, HELLO, options=options, keep_alive="5m")
        lines = [line async for line in await client.chat(name, HELLO, stream=True, options=options)]
        text = await client.generate(name, "Once upon", options=GREEDY)
        shown = await client.show(name)

    assert whole.message.content
    assert whole.message.content == "".join(line.message.content or "" for line in lines)
    assert whole.done_reason == lines[-1].done_reason == "stop"
    assert (whole.eval_duration or 0) > 0
    assert text.response
    assert shown.modelinfo
