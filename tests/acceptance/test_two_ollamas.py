"""Ollama's API at the gateway and upstream: a client's request survives the conversion to OpenAI's schema."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import msgspec
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
from localagent_testing import FaultServer, ReadRequest, ReceivedRequest, Script, Send, answer, tiny_gguf
from localagent_testing.real_servers import RealServer, llama_server, ollama_proxy

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "num_predict": 8}
NO_SETTINGS = OllamaSettings()
ASKED = ("/api/generate", "/api/embed", "/api/chat")


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
    """Converted to the OpenAI schema, and by the provider for Ollama back to Ollama's, it is the same chat."""
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
    """Nothing is lost between two servers with the same API: options, other fields, and times."""
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


def holding(request: ReceivedRequest) -> Script:
    """Answer as an Ollama that has one model in memory."""
    row = {"name": "m", "model": "m", "digest": "aaa", "size": 5}
    running = {**row, "size": 7, "size_vram": 6, "expires_at": "2026-03-01T10:00:00Z", "context_length": 4096}
    said: dict[str, object] = {"model": "m", "done": True, "done_reason": "load", "response": ""}
    if request.path == "/api/generate" and msgspec.json.decode(request.body).get("keep_alive") == 0:
        said["done_reason"] = "unload"
    answers = {"/api/tags": {"models": [row]}, "/api/ps": {"models": [running]}, "/api/show": {},
               "/api/embed": {"model": "m", "embeddings": []}}  # fmt: skip
    return ReadRequest(), Send(answer(200, answers.get(request.path, said)))


async def test_a_model_is_loaded_and_unloaded_where_it_is() -> None:
    """By every route that does so at Ollama; nothing is continued or embedded, and each time is a new one."""
    async with (
        FaultServer(holding) as server,
        serving(server.url) as url,
        ollama.AsyncClient(url, trust_env=False) as client,
    ):
        reported = [
            await client.generate("ollama/m", keep_alive="5m"),
            await client.generate("ollama/m", keep_alive="5m"),
            await client.chat("ollama/m", [], options={"num_ctx": 64}),
            await client.generate("ollama/m", keep_alive=0),
            await client.chat("ollama/m", keep_alive=0),
        ]
        vectors = await client.embed("ollama/m", [])
        old = await client.embeddings("ollama/m", "")
        (row,) = (await client.ps()).models
        sent = [(one.path, msgspec.json.decode(one.body)) for one in server.requests if one.path in ASKED]

    assert [one.done_reason for one in reported] == ["load", "load", "load", "unload", "unload"]
    assert (vectors.embeddings, old.embedding) == ([], [])
    assert [path for path, _ in sent] == ["/api/generate"] * 5 + ["/api/embed"] * 2
    assert [body.get("keep_alive") for _, body in sent[:5]] == ["5m", "5m", None, 0, 0]
    assert [body.get("prompt", body.get("input")) for _, body in sent] == [""] * 5 + [[]] * 2
    assert sent[2][1]["options"] == {"num_ctx": 64}
    assert (row.model, row.size, row.size_vram, row.context_length) == ("ollama/m", 7, 6, 4096)
    assert row.expires_at is not None


async def test_a_model_that_cannot_be_loaded_is_an_error() -> None:
    """What its server says, with its status."""
    full = {"error": "model requires more system memory (2.7 GiB) than is available (1.9 GiB)"}

    def script(request: ReceivedRequest) -> Script:
        if request.path == "/api/generate":
            return ReadRequest(), Send(answer(500, full))
        return holding(request)

    async with (
        FaultServer(script) as server,
        serving(server.url) as url,
        ollama.AsyncClient(url, trust_env=False) as client,
    ):
        with pytest.raises(ollama.ResponseError, match=r"2\.7 GiB"):
            await client.generate("ollama/m")
