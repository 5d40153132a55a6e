"""Ollama's API, asked by Ollama's own clients."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import ollama
import pytest
from fake_lists import listing

from localagent import ModelInfo
from localagent.errors import Overloaded
from localagent_gateway.apis.ollama.api import VERSION
from localagent_testing import Reply, fake_provider_plugin, sse

HELLO = [{"role": "user", "content": "Hi"}]
PIECES = Reply(pieces=("Hel", "lo."))
CUT = Reply(pieces=("Hel",), ends=False)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and more").decode()
CALL = {"id": "call_9", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"Sunny in {city}."


@contextmanager
def asking(url: str) -> Iterator[ollama.Client]:
    """A client for a thread of its own."""
    with ollama.Client(url, trust_env=False) as client:
        yield client


async def in_thread(url: str, ask: Callable[[ollama.Client], Any]) -> Any:
    """Ask with the client that blocks."""

    def run() -> Any:
        with asking(url) as client:
            return ask(client)

    return await asyncio.to_thread(run)


def asked(fake: Any) -> dict[str, Any]:
    """The document with which the only request reached the provider."""
    (only,) = fake.asked
    return dict(only.attempt.request.document)


def answering(message: dict[str, Any], finish: str = "stop", **more: Any) -> Reply:
    """A whole answer with a message of the test's own."""
    return Reply(more={"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more})


def event(delta: dict[str, Any], **choice: Any) -> bytes:
    """One event of a stream."""
    return sse([{"id": "fake-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **choice}]}])


# Chats


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
    assert answer.load_duration is None


async def test_a_chat_is_streamed(serve: Any) -> None:
    """Piece by piece; the last line alone is done, and has tokens and times."""
    fake = fake_provider_plugin(PIECES)
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        lines = [line async for line in await client.chat("fake/m", HELLO, stream=True)]
    assert [line.message.content for line in lines] == ["Hel", "lo.", ""]
    assert [line.done for line in lines] == [False, False, True]
    assert {line.model for line in lines} == {"fake/m"}
    last = lines[-1]
    assert (last.done_reason, last.prompt_eval_count, last.eval_count) == ("stop", 3, 2)
    assert last.total_duration == last.prompt_eval_duration + last.eval_duration
    assert asked(fake)["stream_options"] == {"include_usage": True}


async def test_the_client_that_blocks_is_served_as_well(serve: Any) -> None:
    """Whole and streamed."""
    async with serve(plugins=[fake_provider_plugin(PIECES)]) as served:
        whole = await in_thread(served.url, lambda client: client.chat("fake/m", HELLO))
        streamed = await in_thread(served.url, lambda client: list(client.chat("fake/m", HELLO, stream=True)))
    assert whole.message.content == "ok"
    assert "".join(line.message.content for line in streamed) == "Hello."


async def test_streams_are_the_default(serve: Any) -> None:
    """A body that does not mention it gets lines of JSON."""
    async with (
        serve(plugins=[fake_provider_plugin(PIECES)]) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        answer = await http.post("/api/chat", json={"model": "fake/m", "messages": HELLO})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.text.splitlines()) == 3


async def test_a_tool_call_comes_as_an_object(serve: Any) -> None:
    """Its arguments are JSON text in the OpenAI schema; its function is described as the client described it."""
    fake = fake_provider_plugin(answering({"content": None, "tool_calls": [CALL]}, "tool_calls"))
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        answer = await client.chat("fake/m", HELLO, tools=[weather])
    (call,) = answer.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "Rome"})
    assert answer.done_reason == "stop"
    assert asked(fake)["tools"][0]["function"]["name"] == "weather"


async def test_pieces_of_tool_calls_become_whole_ones(serve: Any) -> None:
    """In one line before the last, in the order of their indexes."""
    other = {"index": 1, "id": "call_2", "function": {"name": "time", "arguments": ""}}
    pieces = (
        event({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '{"ci'}}]}),
        event({"tool_calls": [{"index": 0, "function": {"arguments": 'ty": \n"Rome"}'}}]}),
        event({"tool_calls": [other]}),
    )
    fake = fake_provider_plugin(Reply(pieces=pieces, finish="tool_calls"))
    async with serve(plugins=[fake]) as served:
        lines = await in_thread(served.url, lambda client: list(client.chat("fake/m", HELLO, stream=True)))
    called, last = lines
    functions = [call.function for call in called.message.tool_calls]
    assert [(one.name, one.arguments) for one in functions] == [("weather", {"city": "Rome"}), ("time", {})]
    assert (last.done, last.done_reason, last.message.tool_calls) == (True, "stop", None)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_thinking(serve: Any, field: str) -> None:
    """Under both names that servers have for it, whole and streamed."""
    whole = answering({"content": "4", field: "2+2"})
    streamed = Reply(pieces=(event({field: "2+"}), event({field: "2"}), "4"))
    fake = fake_provider_plugin([whole, streamed])
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        answer = await client.chat("fake/m", HELLO, think="low")
        lines = [line async for line in await client.chat("fake/m", HELLO, stream=True)]
    assert (answer.message.thinking, answer.message.content) == ("2+2", "4")
    assert [line.message.thinking for line in lines] == ["2+", "2", None, None]
    assert fake.asked[0].attempt.request.get("reasoning_effort") == "low"


async def test_the_servers_own_times_are_told(serve: Any) -> None:
    """In nanoseconds, where the answer holds them, as llama.cpp's do."""
    timings = {"prompt_ms": 12.5, "predicted_ms": 250.0, "predicted_n": 7}
    fake = fake_provider_plugin(Reply("Hello.", more={"timings": timings}))
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        whole = await client.chat("fake/m", HELLO)
        lines = [line async for line in await client.chat("fake/m", HELLO, stream=True)]
    assert [(one.prompt_eval_duration, one.eval_duration) for one in (whole, lines[-1])] == [
        (12_500_000, 250_000_000)
    ] * 2


async def test_log_probabilities_are_told(serve: Any) -> None:
    """With each piece; Ollama writes them as OpenAI does."""
    token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Ho", "logprob": -1.5}]}
    fake = fake_provider_plugin(Reply(pieces=(event({"content": "Hi"}, logprobs={"content": [token]}),)))
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        stream = await client.chat("fake/m", HELLO, stream=True, logprobs=True, top_logprobs=1)
        lines = [line async for line in stream]
    (reported,) = lines[0].logprobs
    assert (reported.token, reported.logprob, reported.top_logprobs[0].token) == ("Hi", -0.5, "Ho")
    assert (asked(fake)["logprobs"], asked(fake)["top_logprobs"]) == (True, 1)


# Texts


async def test_a_prompt_is_a_chat_with_a_system_message(serve: Any) -> None:
    """Answered as a text."""
    fake = fake_provider_plugin(Reply("Hello."))
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        answer = await client.generate("fake/m", "Hi", system="Be kind.", images=[PNG])
    assert answer.response == "Hello."
    assert (answer.done, answer.done_reason, answer.eval_count) == (True, "stop", 2)
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert asked(fake)["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [picture, {"type": "text", "text": "Hi"}]},
    ]


async def test_a_text_is_streamed(serve: Any) -> None:
    """Piece by piece."""
    async with serve(plugins=[fake_provider_plugin(PIECES)]) as served:
        lines = await in_thread(served.url, lambda client: list(client.generate("fake/m", "Hi", stream=True)))
    assert [line.response for line in lines] == ["Hel", "lo.", ""]
    assert [line.done for line in lines] == [False, False, True]


async def test_a_raw_prompt_is_a_completion(serve: Any) -> None:
    """As it is, without a chat's template; and so is one whose gap is to be filled."""
    fake = fake_provider_plugin(Reply("Hello."))
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        answer = await client.generate("fake/m", "[INST] Hi", raw=True, options={"num_predict": 5})
        await client.generate("fake/m", "def f(", suffix="return 1")
    assert answer.response == "Hello."
    raw, gap = (one.attempt for one in fake.asked)
    assert raw.call.operation == gap.call.operation == "complete"
    assert raw.request.document == {"model": "fake/m", "prompt": "[INST] Hi", "max_tokens": 5}
    assert gap.request.document == {"model": "fake/m", "prompt": "def f(", "suffix": "return 1"}


async def test_who_only_loads_a_model_hears_that_it_is_there(serve: Any) -> None:
    """Clients do so before the first prompt; nothing is sent. A model that is not there is an error."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        generated = await client.generate("fake/m", keep_alive="10m")
        chatted = [line async for line in await client.chat("fake/m", [], stream=True)]
        with pytest.raises(ollama.ResponseError) as missing:
            await client.generate("fake/other")
    assert (generated.response, generated.done_reason) == ("", "load")
    assert [(line.done, line.done_reason) for line in chatted] == [(True, "load")]
    assert missing.value.status_code == 404
    assert fake.asked == []


@pytest.mark.parametrize("keep", [0, "0", "0s", "0m", 0.0], ids=repr)
async def test_who_wants_a_model_unloaded_hears_that_nothing_is_asked_of_it(serve: Any, keep: Any) -> None:
    """As Ollama says it, by both APIs; with content it is an ordinary question."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        generated = await client.generate("fake/m", keep_alive=keep)
        chatted = await client.chat("fake/m", [], keep_alive=keep)
        assert fake.asked == []
        answered = await client.generate("fake/m", "Hi", keep_alive=keep)
    assert (generated.response, generated.done_reason) == ("", "unload")
    assert (chatted.message.content, chatted.done_reason) == ("", "unload")
    assert (answered.done_reason, asked(fake)["keep_alive"]) == ("stop", keep)


# Embeddings


async def test_each_text_gets_its_vector(serve: Any) -> None:
    """One text or several, by the new API and the old one."""
    async with (
        serve(plugins=[fake_provider_plugin()]) as served,
        ollama.AsyncClient(served.url, trust_env=False) as client,
    ):
        several = await client.embed("fake/m", ["one", "three"])
        single = await client.embed("fake/m", "seven")
        old = await in_thread(served.url, lambda blocking: blocking.embeddings("fake/m", "three"))
    assert several.embeddings == [[3.0], [5.0]]
    assert single.embeddings == [[5.0]]
    assert old.embedding == [5.0]
    assert several.prompt_eval_count == 3
    assert (several.total_duration or 0) > 0


@pytest.mark.parametrize("nothing", [{}, {"input": ""}, {"input": []}, {"input": None}])
async def test_an_empty_embed_loads_the_model(serve: Any, nothing: dict[str, Any]) -> None:
    """No vector, as Ollama answers; a model that is not there is an error, and an empty text in a list is a text."""
    fake = fake_provider_plugin()
    async with (
        serve(plugins=[fake]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
    ):
        loaded = await http.post("/api/embed", json={"model": "fake/m", **nothing})
        old = await http.post("/api/embeddings", json={"model": "fake/m", "prompt": ""})
        older = await http.post("/api/embeddings", json={"model": "fake/m"})
        missing = await http.post("/api/embed", json={"model": "fake/other", **nothing})
        assert fake.asked == []
        listed = await http.post("/api/embed", json={"model": "fake/m", "input": [""]})
    assert (loaded.status_code, loaded.json()["model"], loaded.json()["embeddings"]) == (200, "fake/m", [])
    assert (old.json(), older.json()) == ({"embedding": []}, {"embedding": []})
    assert missing.status_code == 404
    assert listed.json()["embeddings"] == [[0.0]]


# Models

LLAMA = ModelInfo(
    "llama3.2:3b", "fake", "one", 8192,
    facts={"loaded": True, "size": 2_000, "family": "llama", "parameter_size": "3.2B", "quantization": "Q4_K_M",
           "capabilities": ["completion", "tools"]},
)  # fmt: skip
CLOUD = ModelInfo("big", "fake", "one", 4096)
ALIAS = {"models": {"fast": ["fake/llama3.2:3b", "fake/big"]}}


async def test_models_are_listed_by_the_names_that_can_be_asked_for(serve: Any) -> None:
    """Aliases first; with what is known of each."""
    fake = listing(fake_provider_plugin(), [LLAMA, CLOUD])
    async with serve(ALIAS, plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        rows = (await client.list()).models
        loaded = (await client.ps()).models
    assert [row.model for row in rows] == ["fast", "fake/llama3.2:3b", "fake/big"]
    assert len({row.digest for row in rows}) == 3
    assert rows[1].size == 2_000
    assert rows[1].details is not None
    assert (rows[1].details.family, rows[1].details.quantization_level) == ("llama", "Q4_K_M")
    assert rows[2].details is not None
    assert rows[2].details.family == ""
    assert [(row.name, row.context_length) for row in loaded] == [("fake/llama3.2:3b", 8192)]


async def test_a_model_in_memory_says_how_much_and_how_long(serve: Any) -> None:
    """As its instance says; one that does not mention it keeps the model."""
    facts = {"loaded": True, "size": 5, "memory": 7, "size_vram": 6, "expires_at": "2026-03-01T10:00:00.5+01:00"}
    silent = ModelInfo("kept", "fake", "one", facts={"loaded": True})
    fake = listing(fake_provider_plugin(), [ModelInfo("told", "fake", "one", 8192, facts=facts), silent])
    async with (
        serve(plugins=[fake]) as served,
        httpx.AsyncClient(base_url=served.url, trust_env=False) as http,
        ollama.AsyncClient(served.url, trust_env=False) as client,
    ):
        reported, kept = (await http.get("/api/ps")).json()["models"]
        read = (await client.ps()).models
    assert (reported["size"], reported["size_vram"], reported["expires_at"]) == (7, 6, facts["expires_at"])
    assert (kept["size"], kept["size_vram"], kept["expires_at"]) == (0, 0, "9999-12-31T23:59:59Z")
    assert [row.expires_at is not None for row in read] == [True, True]
    assert set(reported) == set(kept) == {
        "name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("think", "effort"),
    [(True, "medium"), (False, "none"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("max", "max")],
)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
async def test_the_switch_for_thinking_is_said_in_the_common_schema(
    serve: Any, path: str, think: Any, effort: str
) -> None:
    """As an effort, and in no field that only Ollama's own servers know."""
    fake = fake_provider_plugin()
    body = {"model": "fake/m", "think": think, "stream": False, "prompt": "Hi"}
    if path == "/api/chat":
        body = {**body, "messages": HELLO}
        del body["prompt"]
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        reported = await http.post(path, json=body)
    assert reported.status_code == 200
    assert (asked(fake)["reasoning_effort"], "think" in asked(fake)) == (effort, False)


async def test_a_model_is_described(serve: Any) -> None:
    """An alias by its first target, and by the smallest window of all."""
    fake = listing(fake_provider_plugin(), [LLAMA, CLOUD])
    async with serve(ALIAS, plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        plain = await client.show("fake/llama3.2:3b")
        alias = await client.show("fast:latest")
        bare = await client.show("fake/big")
    assert (plain.modelinfo or {})["llama.context_length"] == 8192
    assert plain.capabilities == ["completion", "tools"]
    assert alias.modelinfo == {
        "general.architecture": "llama", "general.basename": "fast", "llama.context_length": 4096,
    }  # fmt: skip
    assert bare.capabilities == ["completion"]


async def test_latest_may_be_appended_to_any_name(serve: Any) -> None:
    """Clients do so; where the name itself has it, it stays."""
    models = [ModelInfo("m", "fake", "one"), ModelInfo("own:latest", "fake", "one")]
    fake = listing(fake_provider_plugin(), models)
    settings = {"models": {"fast": ["fake/m"]}}
    async with serve(settings, plugins=[fake]) as served, ollama.AsyncClient(served.url, trust_env=False) as client:
        for name in ("fast:latest", "fake/m:latest", "fake/own:latest"):
            await client.chat(name, HELLO)
    assert [one.attempt.target.model for one in fake.asked] == ["m", "m", "own:latest"]


async def test_clients_find_a_server_that_runs(serve: Any) -> None:
    """At the root, as they look for it, and by its version."""
    async with serve(plugins=[fake_provider_plugin()]) as served, httpx.AsyncClient(base_url=served.url) as http:
        root, head, version = await http.get("/"), await http.head("/"), await http.get("/api/version")
    assert (root.text, head.status_code, head.text) == ("Ollama is running", 200, "")
    assert version.json() == {"version": VERSION}


# Errors


async def test_a_wrong_model_is_an_error_of_the_client(serve: Any) -> None:
    """With the status 404, streamed or not, and for what only describes."""
    async with serve(plugins=[fake_provider_plugin()]) as served:

        def ask(client: ollama.Client) -> list[ollama.ResponseError]:
            errors = []
            for call in (
                lambda: client.chat("other/m", HELLO),
                lambda: list(client.chat("other/m", HELLO, stream=True)),
                lambda: client.embed("other/m", "Hi"),
                lambda: client.show("other/m"),
            ):
                with pytest.raises(ollama.ResponseError) as caught:
                    call()
                errors.append(caught.value)
            return errors

        errors = await in_thread(served.url, ask)
    assert [error.status_code for error in errors] == [404] * 4
    assert "other" in errors[0].error


async def test_a_wrong_key_is_an_error_of_the_client(serve: Any, keys: Any) -> None:
    """With the status 401; the right one is sent as the client sends any."""
    _, key = keys.create()
    async with serve(plugins=[fake_provider_plugin()]) as served:
        for shown, statuses in (("la-wrong", [401, 401]), (key.reveal(), [])):
            headers = {"Authorization": f"Bearer {shown}"}
            refusals = []
            async with ollama.AsyncClient(served.url, trust_env=False, headers=headers) as client:
                for ask in (client.chat("fake/m", HELLO), client.list()):
                    try:
                        await ask
                    except ollama.ResponseError as error:
                        refusals.append(error.status_code)
            assert refusals == statuses


async def test_a_cut_stream_is_an_error_of_the_client(serve: Any) -> None:
    """After the pieces that came: the last line says so."""
    async with serve(plugins=[fake_provider_plugin(CUT)]) as served:
        async with ollama.AsyncClient(served.url, trust_env=False) as client:
            stream = await client.chat("fake/m", HELLO, stream=True)
            first = await anext(stream)
            with pytest.raises(ollama.ResponseError, match="terminator"):
                await anext(stream)
        with pytest.raises(ollama.ResponseError, match="terminator"):
            await in_thread(served.url, lambda blocking: list(blocking.generate("fake/m", "Hi", stream=True)))
    assert first.message.content == "Hel"


async def test_a_tool_call_that_is_no_object_is_an_error(serve: Any) -> None:
    """Clients could not read it: none is made up."""
    broken = {**CALL, "function": {"name": "weather", "arguments": '{"city":'}}
    whole = answering({"tool_calls": [broken]}, "tool_calls")
    streamed = Reply(pieces=("So: ", event({"tool_calls": [{"index": 0, **broken}]})))
    async with (
        serve(plugins=[fake_provider_plugin([whole, streamed])]) as served,
        ollama.AsyncClient(served.url, trust_env=False) as client,
    ):
        with pytest.raises(ollama.ResponseError, match="not a JSON object") as caught:
            await client.chat("fake/m", HELLO)
        stream = await client.chat("fake/m", HELLO, stream=True)
        first = await anext(stream)
        with pytest.raises(ollama.ResponseError, match="not a JSON object"):
            await anext(stream)
    assert caught.value.status_code == 502
    assert first.message.content == "So: "


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/api/chat", {"messages": "Hi"}, "messages"),
        ("/api/chat", {"messages": [{"content": "Hi"}]}, "messages[0]"),
        ("/api/chat", {"messages": HELLO, "options": 3}, "options"),
        ("/api/chat", {"messages": HELLO, "format": "yaml"}, "format"),
        ("/api/chat", {"messages": HELLO, "think": "hard"}, "think"),
        ("/api/chat", {"messages": HELLO, "max_tokens": 3}, "max_tokens"),
        ("/api/chat", {"messages": HELLO, "api_base": "http://elsewhere"}, "api_base"),
        ("/api/generate", {"prompt": "Hi", "template": "{{ .Prompt }}"}, "template"),
        ("/api/generate", {"prompt": "Hi", "context": [1, 2]}, "context"),
        ("/api/generate", {"prompt": "Hi", "raw": True, "system": "Be kind."}, "system"),
        ("/api/generate", {"prompt": ["Hi"]}, "prompt"),
        ("/api/embed", {"input": 3}, "input"),
        ("/api/embed", {"input": {}}, "input"),
        ("/api/embed", {"input": ["Hi", 3]}, "input"),
        ("/api/embeddings", {"prompt": ["Hi"]}, "prompt"),
        ("/api/embeddings", {"prompt": []}, "prompt"),
        ("/api/show", {}, "model"),
    ],
)
async def test_what_cannot_be_said_is_refused_by_name(serve: Any, path: str, body: Any, named: str) -> None:
    """With the status 400, in Ollama's shape, before anything is sent."""
    fake = fake_provider_plugin()
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        body = body if path == "/api/show" else {"model": "fake/m", **body}
        answer = await http.post(path, json=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]
    assert fake.asked == []


async def test_errors_have_their_status_and_headers(serve: Any) -> None:
    """The wait that a server asks for is reported; an unknown path answers in Ollama's form, too."""
    fake = fake_provider_plugin(Overloaded("Too much to do.", retry_after=7.0))
    async with serve(plugins=[fake]) as served, httpx.AsyncClient(base_url=served.url) as http:
        busy = await http.post("/api/chat", json={"model": "fake/m", "messages": HELLO})
        strange = await http.post("/api/pull", json={"model": "fake/m"})
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "7")
    assert busy.json() == {"error": "Too much to do."}
    assert strange.status_code == 404
    assert isinstance(strange.json()["error"], str)
