"""Chats, completions, embeddings and models, used with the official SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai_clients import asking, in_thread, piece, read

from localagent import Usage
from localagent.errors import RateLimited
from localagent_testing import Reply

ASK: dict[str, Any] = {"model": "fake/m", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


async def test_a_chat_is_answered(serve: Any) -> None:
    """Text, finish reason and usage."""
    async with asking(serve, Reply("Hello.", usage=Usage(7, 3, 10))) as (client, _):
        whole = await client.chat.completions.create(**ASK)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("Hello.", "stop")
    assert whole.usage is not None
    assert whole.usage.total_tokens == 10


async def test_a_chat_is_streamed(serve: Any) -> None:
    """Piece by piece, to the finish reason."""
    async with asking(serve, Reply(pieces=("Hel", "lo."))) as (client, _):
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASK, stream=True)]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hel", "lo.", None]
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_synchronous_client_is_answered(serve: Any) -> None:
    """Chats whole and streamed, completions, embeddings and models."""
    async with asking(serve, Reply("Hello.")) as (client, _):
        whole = await in_thread(client, lambda it: it.chat.completions.create(**ASK))
        chunks = await in_thread(client, lambda it: list(it.chat.completions.create(**ASK, stream=True)))
        text = await in_thread(client, lambda it: it.completions.create(model="fake/m", prompt="Say"))
        vectors = await in_thread(client, lambda it: it.embeddings.create(model="fake/m", input="four"))
        models = await in_thread(client, lambda it: [model.id for model in it.models.list()])
    assert whole.choices[0].message.content == chunks[0].choices[0].delta.content == "Hello."
    assert text.choices[0].text == "Hello."
    assert vectors.data[0].embedding == [4.0]
    assert models == ["fake/m"]


async def test_a_tool_is_called(serve: Any) -> None:
    """The tool reaches the server, the call reaches the client."""
    call = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    async with asking(serve, Reply(more=document)) as (client, asked):
        whole = await client.chat.completions.create(**ASK, tools=[TOOL], tool_choice="auto")  # type: ignore[list-item]
    assert asked[0].attempt.request.get("tools") == [TOOL]
    (made,) = whole.choices[0].message.tool_calls or ()
    assert made.to_dict() == call


async def test_calls_of_tools_are_streamed(serve: Any) -> None:
    """The SDK's own accumulator puts the pieces of a call together."""
    pieces = (
        piece({"tool_calls": [{"index": 0, "id": "call-1", "type": "function",
                               "function": {"name": "weather", "arguments": '{"a"'}}]}),
        piece({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
    )  # fmt: skip
    async with (
        asking(serve, Reply(pieces=pieces, finish="tool_calls")) as (client, _),
        client.chat.completions.stream(**ASK, tools=[TOOL]) as stream,  # type: ignore[list-item]
    ):
        events = [event async for event in stream]
        final = await stream.get_final_completion()
    (made,) = final.choices[0].message.tool_calls or ()
    assert (made.id, made.function.name, made.function.arguments) == ("call-1", "weather", '{"a":1}')
    assert [event.arguments for event in events if event.type == "tool_calls.function.arguments.done"] == ['{"a":1}']


async def test_a_text_is_continued(serve: Any) -> None:
    """Completions, whole and streamed."""
    pieces = tuple(piece({}).replace(b'"delta":{}', b'"text":"%b"' % text) for text in (b"up", b"on"))
    async with asking(serve, [Reply("upon"), Reply(pieces=pieces)]) as (client, _):
        whole = await client.completions.create(model="fake/m", prompt="Once")
        chunks = [one async for one in await client.completions.create(model="fake/m", prompt="Once", stream=True)]
    assert whole.choices[0].text == "upon"
    assert [chunk.choices[0].text for chunk in chunks][:2] == ["up", "on"]


@pytest.mark.parametrize("wanted", ["float", "base64", None])
@pytest.mark.parametrize("sent", [[0.5, -2.0], "AAAAPwAAAMA="])
async def test_embeddings_come_in_the_encoding_that_was_asked_for(serve: Any, sent: Any, wanted: Any) -> None:
    """Whether the server answers numbers or base64; the SDK asks for base64 unless its caller says otherwise."""
    data = {"data": [{"object": "embedding", "index": 0, "embedding": sent}], "vendor": 1}
    asked_for = {} if wanted is None else {"encoding_format": wanted}
    async with asking(serve, Reply(more=data)) as (client, asked):
        answer = await client.embeddings.create(model="fake/m", input="Hi", **asked_for)
    assert asked[0].attempt.request.get("encoding_format") == (wanted or "base64")
    assert answer.data[0].embedding == ("AAAAPwAAAMA=" if wanted == "base64" else [0.5, -2.0])
    assert answer.model_extra == {"vendor": 1}


async def test_models_are_listed_and_found(serve: Any) -> None:
    """By the names under which they are asked for, slashes included."""
    async with asking(serve, models=("m", "org/large:7b")) as (client, _):
        listed = [model.id async for model in client.models.list()]
        found = await client.models.retrieve("fake/org/large:7b")
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("fake/none")
    assert sorted(listed) == ["fake/m", "fake/org/large:7b"]
    assert (found.id, found.object, found.owned_by) == ("fake/org/large:7b", "model", "fake")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_model_is_not_found(serve: Any, stream: bool) -> None:
    """The error has type, code, param and the request's id."""
    async with asking(serve) as (client, asked):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(**ASK | {"model": "nobody/m"}, stream=stream)
    error = caught.value
    assert (error.code, error.type, error.param) == ("model_not_found", "not_found_error", None)
    assert error.request_id is not None
    assert error.request_id.startswith("req-")
    assert asked == []


@pytest.mark.parametrize("body", [{"messages": []}, {"messages": "Hi"}, {"messages": [3]}, {"stream_options": 1}])
async def test_a_bad_body_is_a_bad_request(serve: Any, body: dict[str, Any]) -> None:
    """What no server could answer is refused before anything is sent."""
    async with asking(serve) as (client, asked):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**ASK | body)
    assert (caught.value.code, caught.value.type) == ("invalid_request", "invalid_request_error")
    assert asked == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_is_asked_too_fast_is_asked_once(serve: Any, stream: bool) -> None:
    """The SDK, which would try three times, is set not to: the gateway retries."""
    async with asking(serve, RateLimited("Too fast.", retry_after=7.2)) as (client, asked):
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(**ASK, stream=stream)
    assert client.max_retries == 2
    assert len(asked) == 1
    assert caught.value.code == "rate_limited"
    assert caught.value.response.headers["retry-after"] == "8"
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_stream_that_breaks_raises(serve: Any) -> None:
    """The SDK sees the error in the stream itself, after what had come."""
    chunks: list[Any] = []
    async with asking(serve, Reply(pieces=("Hel",), ends=False)) as (client, _):
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(openai.APIError) as caught:
            await read(stream, chunks)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hel"]
    assert (caught.value.code, caught.value.type) == ("stream_interrupted", "server_error")


async def test_a_stream_that_breaks_raises_in_a_synchronous_client(serve: Any) -> None:
    """As in the asynchronous one."""
    async with asking(serve, Reply(pieces=("Hel",), ends=False)) as (client, _):
        with pytest.raises(openai.APIError) as caught:
            await in_thread(client, lambda it: list(it.chat.completions.create(**ASK, stream=True)))
    assert caught.value.code == "stream_interrupted"


async def test_a_server_that_breaks_at_once_is_a_status(serve: Any) -> None:
    """Before any content a failed stream is an answer with a status, not a stream with an error."""
    async with asking(serve, Reply(pieces=(b"",), ends=False)) as (client, _):
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(**ASK, stream=True)
    assert caught.value.status_code == 502
