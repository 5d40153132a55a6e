"""The provider on the wire: what it asks, how long it waits, what it tells of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from localagent import Client, ModelInfo
from localagent.errors import InvalidRequest, ModelNotFound, UpstreamProtocol, UpstreamServerError, UpstreamTimeout
from localagent.records import PoolProfile
from localagent_connect_aiohttp import AiohttpConnectPlugin
from localagent_provider_ollama import OllamaPlugin
from localagent_provider_ollama import provider as provider_module
from localagent_testing import (
    Close,
    FaultServer,
    Hold,
    ReadRequest,
    ReceivedRequest,
    Script,
    Send,
    Stall,
    answer,
    chunk,
    head,
)

SHORT = 0.1
END = {"model": "m", "done": True, "done_reason": "stop", "eval_count": 1}
SAID = answer(200, {**END, "message": {"role": "assistant", "content": "Hello"}})
MISSING = answer(404, {"error": "model 'm' not found"})
ASK = "Why?"


@asynccontextmanager
async def client(server: FaultServer, **provider: Any) -> AsyncIterator[Client]:
    """A client of one instance, without health checks in the background."""
    settings = {
        "providers": {"ollama": {"instances": [server.url], **provider}},
        "health": {"enabled": False},
    }
    async with Client(settings, plugins=[AiohttpConnectPlugin, OllamaPlugin], environment={"KEY": "abc"}) as opened:
        yield opened


def says(*data: bytes) -> Script:
    return (ReadRequest(), *map(Send, data))


def decoded(request: ReceivedRequest) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(request.body)
    return body


async def test_each_operation_has_its_endpoint() -> None:
    """The path, the model's own name, and whether a stream is wanted are always said."""
    generated = answer(200, {**END, "response": "Hello"})
    embedded = answer(200, {"embeddings": [[1.0]]})
    async with FaultServer([says(SAID), says(generated), says(embedded), says(SAID)]) as server:
        async with client(server) as opened:
            assert (await opened.chat(ASK, model="ollama/hf.co/a/m")).text == "Hello"
            assert (await opened.complete("Once", model="ollama/m")).text == "Hello"
            assert (await opened.embed("text", model="ollama/m")).vectors == [[1.0]]
            async with opened.stream(ASK, model="ollama/m") as stream:
                assert await stream.text() == "Hello"
        assert [(request.method, request.path) for request in server.requests] == [
            ("POST", "/api/chat"),
            ("POST", "/api/generate"),
            ("POST", "/api/embed"),
            ("POST", "/api/chat"),
        ]
        assert [decoded(request) for request in server.requests] == [
            {"model": "hf.co/a/m", "stream": False, "messages": [{"role": "user", "content": ASK}]},
            {"model": "m", "stream": False, "raw": True, "prompt": "Once"},
            {"model": "m", "input": ["text"]},
            {"model": "m", "stream": True, "messages": [{"role": "user", "content": ASK}]},
        ]


async def test_settings_and_keys_reach_the_server() -> None:
    """Defaults of the provider stand in every request; a key is sent as Ollama's cloud takes it."""
    settings = {"num_ctx": 8192, "keep_alive": "1h", "options": {"top_k": 5}, "keys": [{"env": "KEY"}]}
    async with FaultServer(says(SAID)) as server:
        async with client(server, **settings) as opened:
            await opened.chat(ASK, model="ollama/m", options={"top_k": 6})
        (request,) = server.requests

    assert request.header("Authorization") == "Bearer abc"
    assert decoded(request)["options"] == {"num_ctx": 8192, "top_k": 6}
    assert decoded(request)["keep_alive"] == "1h"


async def test_what_ollama_cannot_say_is_not_sent() -> None:
    """Nothing is sent to the server."""
    async with FaultServer(says(SAID)) as server:
        async with client(server) as opened:
            with pytest.raises(InvalidRequest, match="does not support") as refused:
                await opened.chat(ASK, model="ollama/m", n=2)

        assert (refused.value.code, refused.value.status) == ("unsupported", 400)
        assert server.connections.accepted == 0


async def test_a_field_that_json_cannot_say_is_refused() -> None:
    """Before anything is sent, as an error of the request."""
    async with FaultServer(says(SAID)) as server, client(server) as opened:
        with pytest.raises(InvalidRequest, match="JSON"):
            await opened.chat(ASK, model="ollama/m", temperature=object())


async def test_usage_comes_in_a_stream_when_it_is_asked_for() -> None:
    """And is known at its end in any case."""
    async with FaultServer(says(SAID)) as server, client(server) as opened:
        for asked in (True, False):
            fields = {"stream_options": {"include_usage": True}} if asked else {}
            async with opened.stream(ASK, model="ollama/m", **fields) as stream:
                documents = [piece.document async for piece in stream]

            assert ("usage" in documents[-1]) == asked
            assert stream.usage is not None
            assert stream.usage.completion_tokens == 1


# Waiting for a model to be loaded -------------------------------------------------------------------------------------


async def test_a_cold_model_has_the_time_of_the_load_clock() -> None:
    """While nothing comes, ``load`` runs instead of a shorter ``first``, and the error names it."""
    async with (
        FaultServer((ReadRequest(), Stall())) as server,
        client(server, timeouts={"load": 3 * SHORT, "first_token": SHORT}) as opened,
    ):
        begun = asyncio.get_running_loop().time()
        with pytest.raises(UpstreamTimeout) as late:
            await opened.stream(ASK, model="ollama/m").text()

        assert late.value.phase == "load"
        assert asyncio.get_running_loop().time() - begun >= 3 * SHORT


async def test_a_warm_model_has_the_time_of_the_first_clock() -> None:
    """The same server, after it has answered once; another model is still cold."""
    async with (
        FaultServer([says(SAID), (ReadRequest(), Stall()), (ReadRequest(), Stall())]) as server,
        client(server, timeouts={"load": 2 * SHORT, "first_token": SHORT}) as opened,
    ):
        await opened.stream(ASK, model="ollama/m").text()
        with pytest.raises(UpstreamTimeout) as warm:
            await opened.stream(ASK, model="ollama/m").text()
        with pytest.raises(UpstreamTimeout) as cold:
            await opened.stream(ASK, model="ollama/n").text()

    assert (warm.value.phase, cold.value.phase) == ("first_token", "load")


async def test_after_the_head_the_first_clock_runs() -> None:
    """Then the model is loaded; only the first content is missing."""
    begun = head(200, {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"})
    async with (
        FaultServer((ReadRequest(), Send(begun), Send(chunk(b"\n")), Stall())) as server,
        client(server, timeouts={"load": 30, "first_token": SHORT}) as opened,
    ):
        with pytest.raises(UpstreamTimeout) as late:
            await opened.stream(ASK, model="ollama/m").text()

    assert late.value.phase == "first_token"


async def test_a_first_clock_that_is_longer_than_the_load_clock_stays() -> None:
    """Waiting for a cold model is never shorter than waiting for a warm one."""
    async with (
        FaultServer((ReadRequest(), Stall())) as server,
        client(server, timeouts={"load": SHORT / 2, "first_token": SHORT}) as opened,
    ):
        with pytest.raises(UpstreamTimeout) as late:
            await opened.stream(ASK, model="ollama/m").text()

    assert late.value.phase == "first_token"


async def test_an_answer_that_comes_whole_may_take_longer_than_loading() -> None:
    """Nothing comes before all of it is there, so the load clock says nothing about it."""
    async with (
        FaultServer((ReadRequest(), Hold(3 * SHORT), Send(SAID))) as server,
        client(server, timeouts={"load": SHORT}) as opened,
    ):
        assert (await opened.chat(ASK, model="ollama/m")).text == "Hello"


# Models ---------------------------------------------------------------------------------------------------------------

TAGS = [
    {"name": "llama3.2:latest", "model": "llama3.2:latest", "digest": "aaa", "size": 5,
     "details": {"family": "llama", "parameter_size": "3B", "quantization_level": "Q4"}},
    {"name": "old:1b", "digest": "bbb"},
    {"model": "cloud", "digest": "ccc", "details": None},
]  # fmt: skip
RUNNING = [{"model": "llama3.2:latest", "context_length": 4096, "size": 7, "size_vram": 6, "expires_at": "2026-01-01"}]
SHOWN = {
    "llama3.2:latest": {
        "parameters": "temperature 0.8\nnum_ctx                        2048",
        "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
        "capabilities": ["completion", "tools"],
    },
    "old:1b": {"parameters": "num_ctx 16384", "model_info": {"general.architecture": "x", "x.context_length": 8192}},
}


def about_models(request: ReceivedRequest) -> Script:
    """Answer as Ollama answers about its models; of a cloud's model it tells nothing."""
    if request.path == "/api/show":
        name = decoded(request)["model"]
        said = answer(200, SHOWN[name]) if name in SHOWN else answer(404, {"error": f"model '{name}' not found"})
        return says(said)
    return says(answer(200, {"models": TAGS if request.path == "/api/tags" else RUNNING}))


async def listed(**provider: Any) -> tuple[dict[str, ModelInfo], FaultServer]:
    async with FaultServer(about_models) as server:
        async with client(server, **provider) as opened:
            await opened.models()
            models = await opened.models()
        return {model.id: model for model in models}, server


async def test_models_come_with_their_window_and_their_details() -> None:
    """The window is the one that a request gets: loaded, of the Modelfile, or of the settings; never above training."""
    models, _ = await listed()

    assert [model.context_length for model in models.values()] == [4096, 8192, None]
    assert models["llama3.2:latest"].facts == {
        "loaded": True,
        "trained_context_length": 131072,
        "capabilities": ["completion", "tools"],
        "size": 5,
        "family": "llama",
        "parameter_size": "3B",
        "quantization": "Q4",
        "memory": 7,
        "size_vram": 6,
        "expires_at": "2026-01-01",
    }
    assert models["cloud"].facts == {"loaded": False}
    configured, _ = await listed(num_ctx=10_000)
    assert [model.context_length for model in configured.values()] == [10_000, 8192, 10_000]


async def test_details_are_asked_for_once() -> None:
    """Of every version of a model; the lists are asked for each time."""
    _, server = await listed()
    paths = [request.path for request in server.requests]

    assert paths.count("/api/show") == 3
    assert paths.count("/api/tags") == paths.count("/api/ps") == 2


async def test_a_server_without_a_list_lists_nothing() -> None:
    """Its error is raised."""
    async with FaultServer(says(answer(500, {"error": "no"}))) as server, client(server) as opened:
        with pytest.raises(UpstreamServerError):
            await opened.models()
    async with FaultServer(says(answer(200, "<html>"))) as server, client(server) as opened:
        with pytest.raises(UpstreamProtocol, match="/api/tags"):
            await opened.models()


GARBAGE = {
    "fails": says(answer(500, {"error": "no"})),
    "is cut": (ReadRequest(), Send(answer(200, {"capabilities": ["completion"]})[:-5]), Close()),
    "is a web page": says(answer(200, "<html>")),
    "is another type": says(answer(200, {"capabilities": 7, "models": {"a": 1}})),
    "hangs": (ReadRequest(), Stall()),
}


@pytest.mark.parametrize("damage", GARBAGE)
async def test_a_damaged_model_hides_no_other(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its own details are missing, however its /api/show fails; they are asked for again the next time."""
    monkeypatch.setattr(provider_module, "DETAIL_SECONDS", 0.2)
    damaged = True

    def script(request: ReceivedRequest) -> Script:
        broken = damaged and request.path == "/api/show" and decoded(request)["model"] == "llama3.2:latest"
        return GARBAGE[damage] if broken else about_models(request)

    async with FaultServer(script) as server, client(server) as opened:
        models = {model.id: model for model in await opened.models()}
        assert list(models) == ["llama3.2:latest", "old:1b", "cloud"]
        assert models["llama3.2:latest"].facts["family"] == "llama"
        assert (models["llama3.2:latest"].tools, models["old:1b"].context_length) == (None, 8192)
        damaged = False
        assert next(model.tools for model in await opened.models() if model.id == "llama3.2:latest") is True


@pytest.mark.parametrize("damage", GARBAGE)
async def test_an_instance_that_does_not_say_what_is_loaded_lists_its_models(
    damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that fails or hangs there."""
    monkeypatch.setattr(provider_module, "DETAIL_SECONDS", 0.2)

    def script(request: ReceivedRequest) -> Script:
        return GARBAGE[damage] if request.path == "/api/ps" else about_models(request)

    async with FaultServer(script) as server, client(server) as opened:
        models = await opened.models()
    assert [(model.id, model.facts["loaded"]) for model in models] == [
        ("llama3.2:latest", False), ("old:1b", False), ("cloud", False),
    ]  # fmt: skip


async def test_a_damaged_row_hides_no_other() -> None:
    """Whatever stands in the list beside models."""
    rows = [7, None, "x", {"name": ["x"]}, {"name": "x", "size": "big"}, {}, {"name": "good"}]
    async with FaultServer(says(answer(200, {"models": rows}))) as server, client(server) as opened:
        assert [model.id for model in await opened.models()] == ["good"]


async def test_health_is_asked_by_version() -> None:
    """No model is touched; what is no Ollama is not well."""
    async with FaultServer([says(answer(200, {"version": "0.12.0"})), says(answer(200, {"ok": True}))]) as server:
        async with client(server) as opened:
            assert [state.health for state in await opened.health()] == ["healthy"]
            assert [state.health for state in await opened.health()] == ["unhealthy"]
        assert [request.path for request in server.requests] == ["/api/version"] * 2


async def test_a_model_that_is_gone_has_the_models_listed_anew() -> None:
    """The instance was known to have it under its full name; now its list is asked for again, and it has it no more."""

    def gone(request: ReceivedRequest) -> Script:
        if request.path == "/api/chat":
            return says(MISSING)
        named = [{"model": "m:latest"}] if len(server.requests) <= 2 else []
        return says(answer(200, {"models": named if request.path == "/api/tags" else []}))

    async with FaultServer(gone) as server:
        async with client(server) as opened:
            await opened.models()
            (state,) = await opened.health()
            assert set(state.models or ()) == {"m:latest"}
            with pytest.raises(ModelNotFound, match="Run: ollama pull m"):
                await opened.chat(ASK, model="ollama/m")
        assert state.models == {}


async def test_a_model_that_was_never_listed_causes_no_other_request() -> None:
    """Nothing was known that could be wrong."""
    async with FaultServer(says(MISSING)) as server:
        async with client(server) as opened:
            with pytest.raises(ModelNotFound):
                await opened.chat(ASK, model="ollama/m")
        assert len(server.requests) == 1


async def test_the_variable_is_enough() -> None:
    """``OLLAMA_HOST`` alone makes ``ollama/...`` a model."""
    async with FaultServer(says(SAID)) as server:
        environment = {"OLLAMA_HOST": server.url.removeprefix("http://")}
        async with Client({}, plugins=[AiohttpConnectPlugin, OllamaPlugin], environment=environment) as opened:
            assert (await opened.chat(ASK, model="ollama/m")).text == "Hello"


async def test_connections_are_kept_as_suits_the_server() -> None:
    """Ten at a time, for a minute; what the settings choose wins."""
    settings = {"providers": {"ollama": {}, "patient": {"type": "ollama", "pool": {"keepalive": "5 min"}}}}
    async with Client(settings, plugins=[OllamaPlugin], environment={}) as opened:
        pools = [instance.pool for instance in (await opened.runtime()).instances]
    assert pools == [PoolProfile(limit=10, keepalive=60.0), PoolProfile(limit=10, keepalive=300.0)]
