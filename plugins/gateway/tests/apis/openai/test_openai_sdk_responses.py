"""The Responses API, used with the official SDK."""

from __future__ import annotations

from typing import Any

import msgspec
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai_clients import asking, in_thread, piece, read
from pydantic import BaseModel, TypeAdapter

from localagent import Usage
from localagent_testing import Reply

TOOL = {
    "type": "function", "name": "weather", "description": "The weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": False,
}  # fmt: skip
CALLS = [
    {"index": 0, "id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city":'}},
    {"index": 0, "function": {"arguments": '"Oslo"}'}},
    {"index": 1, "id": "call-2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}},
]


def strictly(response: Response) -> Response:
    """Check a response against every required field of the SDK's model, which the SDK itself does not do."""
    return Response.model_validate(response.to_dict(mode="python"))


async def test_an_answer_is_a_response(serve: Any) -> None:
    """Text, model, usage and status come as the SDK's model wants them."""
    async with asking(serve, Reply("Hello.", usage=Usage(7, 3, 10))) as (client, asked):
        response = await client.responses.create(model="fake/m", input="Hi", instructions="Be kind.")
    strictly(response)
    assert response.output_text == "Hello."
    assert (response.status, response.model, response.store) == ("completed", "fake/m", False)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (7, 3, 10)
    assert asked[0].attempt.request.messages == [
        {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"},
    ]  # fmt: skip


async def test_a_synchronous_client_is_answered(serve: Any) -> None:
    """Whole and streamed."""
    async with asking(serve, Reply(pieces=("Hel", "lo."), text="Hello.")) as (client, _):
        whole = await in_thread(client, lambda it: it.responses.create(model="fake/m", input="Hi"))
        events = await in_thread(client, lambda it: list(it.responses.create(model="fake/m", input="Hi", stream=True)))
    assert whole.output_text == "Hello."
    assert events[-1].response.output_text == "Hello."


async def test_a_stream_has_the_events_of_the_api(serve: Any) -> None:
    """Each in its place, numbered without a gap, valid by the SDK's models; the last one has the whole answer."""
    valid: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    async with asking(serve, Reply(pieces=("Hel", "lo."), usage=Usage(7, 3, 10))) as (client, _):
        events = [event async for event in await client.responses.create(model="fake/m", input="Hi", stream=True)]
    assert [event.type.removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in events] == list(range(10))
    for event in events:
        valid.validate_python(event.to_dict(mode="python"))
    response = strictly(events[-1].response)  # type: ignore[union-attr]
    assert (response.output_text, response.model) == ("Hello.", "fake/m")
    assert response.usage is not None
    assert response.usage.total_tokens == 10


async def test_the_sdks_own_stream_helper_follows(serve: Any) -> None:
    """``responses.stream`` builds snapshots from the events and returns the final response."""
    async with (
        asking(serve, Reply(pieces=("Hel", "lo."))) as (client, _),
        client.responses.stream(model="fake/m", input="Hi") as stream,
    ):
        snapshots = [event.snapshot async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert snapshots == ["Hel", "Hello."]
    assert final.output_text == "Hello."


async def test_a_call_of_a_tool_is_asked_and_answered(serve: Any) -> None:
    """The function is sent as a chat has it; its call comes back as an item, its output goes as a message."""
    call = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    async with asking(serve, [Reply(more=document), Reply("Rain.")]) as (client, asked):
        first = await client.responses.create(model="fake/m", input="Oslo?", tools=[TOOL], tool_choice="required")
        made = first.output[0]
        assert made.type == "function_call"
        output = {"type": "function_call_output", "call_id": made.call_id, "output": "rain"}
        second = await client.responses.create(
            model="fake/m", input=[{"role": "user", "content": "Oslo?"}, *first.output, output]
        )
    strictly(first)
    assert (made.name, made.arguments, made.call_id) == ("weather", '{"city":"Oslo"}', "call-1")
    assert second.output_text == "Rain."
    sent, again = asked[0].attempt.request, asked[1].attempt.request
    assert sent.get("tools")[0]["function"]["name"] == "weather"
    assert sent.get("tool_choice") == "required"
    assert again.messages == [
        {"role": "user", "content": "Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": "rain"},
    ]


async def test_calls_of_tools_are_streamed(serve: Any) -> None:
    """Two calls after some text: arguments grow piece by piece, each call under its own id."""
    pieces = ("Let me see.", *(piece({"tool_calls": [call]}) for call in CALLS))
    async with (
        asking(serve, Reply(pieces=pieces, finish="tool_calls")) as (client, _),
        client.responses.stream(model="fake/m", input="Hi", tools=[TOOL]) as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    assert [item.type for item in final.output] == ["message", "function_call", "function_call"]
    assert [item.call_id for item in final.output if item.type == "function_call"] == ["call-1", "call-2"]


async def test_thinking_is_an_item_of_its_own(serve: Any) -> None:
    """What a model thinks comes before what it says, in events of its own."""
    pieces = (piece({"reasoning_content": "Hmm, "}), piece({"reasoning_content": "well."}), "Yes.")
    async with asking(serve, Reply(pieces=pieces)) as (client, _):
        events = [event async for event in await client.responses.create(model="fake/m", input="Hi", stream=True)]
    response = strictly(events[-1].response)  # type: ignore[union-attr]
    thought, said = response.output
    assert thought.type == "reasoning"
    assert thought.content is not None
    assert thought.content[0].text == "Hmm, well."
    assert (said.type, response.output_text) == ("message", "Yes.")
    assert [event.delta for event in events if event.type == "response.reasoning_text.delta"] == ["Hmm, ", "well."]


async def test_a_schema_is_asked_for_and_parsed(serve: Any) -> None:
    """``responses.parse`` sends the schema as a chat has it and gets the object."""

    class Place(BaseModel):
        city: str

    async with asking(serve, Reply('{"city":"Oslo"}')) as (client, asked):
        response = await client.responses.parse(model="fake/m", input="Hi", text_format=Place)
    assert response.output_parsed == Place(city="Oslo")
    form = asked[0].attempt.request.get("response_format")
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == ("json_schema", "Place", True)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_cut_by_its_limit_is_incomplete(serve: Any, stream: bool) -> None:
    """Status and reason say that the limit of tokens was reached."""
    async with asking(serve, Reply("Hel", finish="length")) as (client, asked):
        response: Any = await client.responses.create(model="fake/m", input="Hi", max_output_tokens=3, stream=stream)
        if stream:
            events = [event async for event in response]
            assert events[-1].type == "response.incomplete"
            response = events[-1].response
    strictly(response)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[0].status == "incomplete"
    assert asked[0].attempt.request.get("max_completion_tokens") == 3


async def test_a_stream_that_breaks_raises_after_it_said_so(serve: Any) -> None:
    """The SDK yields response.failed with what had come, and then raises, because of the event that follows."""
    async with asking(serve, Reply(pieces=("Hel",), ends=False)) as (client, _):
        events: list[Any] = []
        stream = await client.responses.create(model="fake/m", input="Hi", stream=True)
        with pytest.raises(openai.APIError) as caught:
            await read(stream, events)
    assert caught.value.code == "stream_interrupted"
    assert events[-1].type == "response.failed"
    failed = strictly(events[-1].response)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.output_text) == ("failed", "server_error", "Hel")
    assert "response.output_item.done" not in {event.type for event in events}


async def test_the_event_of_an_error_has_the_fields_of_its_schema(serve: Any) -> None:
    """Clients that know the event ``error`` find code, message and number where the API has them."""
    async with (
        asking(serve, Reply(pieces=("Hel",), ends=False)) as (client, _),
        client.responses.with_streaming_response.create(model="fake/m", input="Hi", stream=True) as answer,
    ):
        lines = (await answer.text()).strip().split("\n\n")[-1].split("\n")
    assert lines[0] == "event: error"
    data = msgspec.json.decode(lines[1].removeprefix("data: "))
    assert (data["type"], data["code"], data["param"]) == ("error", "stream_interrupted", None)
    assert data["message"] == data["error"]["message"]
    assert data["sequence_number"] == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", True), ("background", True), ("previous_response_id", "resp_1"), ("conversation", "conv_1"),
        ("prompt", {"id": "p"}), ("truncation", "auto"), ("include", ["message.output_text.logprobs"]),
        ("tools", [{"type": "web_search"}]), ("text", {"format": {"type": "grammar"}}),
    ],
)  # fmt: skip
async def test_what_cannot_be_served_is_refused_by_its_name(serve: Any, field: str, value: Any) -> None:
    """A field that needs state, or that no chat can say, is an error that names it; nothing is sent."""
    async with asking(serve, Reply()) as (client, asked):
        with pytest.raises(
            openai.BadRequestError, match=str(value[0]["type"]) if field == "tools" else field
        ) as caught:
            await client.responses.create(model="fake/m", input="Hi", **{field: value})
    assert caught.value.code == "unsupported"
    assert caught.value.param == ("text.format.type" if field == "text" else field)
    assert asked == []


async def test_what_was_asked_is_told_again(serve: Any) -> None:
    """Metadata, user, tools, temperature and the rest stand in the answer; ``store: false`` is what happens anyway."""
    asked_for: dict[str, Any] = {
        "metadata": {"a": "b"}, "user": "u-1", "temperature": 0.5, "top_p": 0.9, "tools": [TOOL], "tool_choice": "auto",
        "parallel_tool_calls": False, "max_output_tokens": 9, "reasoning": {"effort": "low"}, "store": False,
        "instructions": "Be kind.",
    }  # fmt: skip
    async with asking(serve, Reply()) as (client, asked):
        response = await client.responses.create(model="fake/m", input="Hi", **asked_for)
    strictly(response)
    reported = response.to_dict()
    for name in ("metadata", "user", "temperature", "top_p", "tool_choice", "parallel_tool_calls", "instructions"):
        assert reported[name] == asked_for[name]
    sent = asked[0].attempt.request.document
    assert (sent["reasoning_effort"], sent["user"], sent["temperature"], sent["top_p"]) == ("low", "u-1", 0.5, 0.9)
    assert sent["parallel_tool_calls"] is False
    assert not {"metadata", "store", "instructions", "reasoning", "max_output_tokens", "input"} & sent.keys()


@pytest.mark.parametrize("stream", [False, True])
async def test_unknown_fields_pass(serve: Any, stream: bool) -> None:
    """A field that nobody here knows reaches the server; one of its whole answer reaches the client."""
    async with asking(serve, Reply(more={"timings": {"ms": 3}})) as (client, asked):
        answer: Any = await client.responses.create(
            model="fake/m", input="Hi", stream=stream, extra_body={"top_k": 7, "chat_template_kwargs": {"x": 1}}
        )
        if stream:
            await answer.close()
        else:
            assert answer.to_dict()["timings"] == {"ms": 3}
    sent = asked[0].attempt.request.document
    assert (sent["top_k"], sent["chat_template_kwargs"]) == (7, {"x": 1})


async def test_a_wrong_model_is_not_found(serve: Any) -> None:
    """As with chats."""
    async with asking(serve, Reply()) as (client, _):
        with pytest.raises(openai.NotFoundError) as caught:
            await client.responses.create(model="nobody/m", input="Hi")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_of_another_shape_is_the_servers_fault(serve: Any, stream: bool) -> None:
    """A call that is not an object is reported as an error, not as a call; a stream says it in its events."""
    choice = {"index": 0, "message": {"content": None, "tool_calls": [3]}, "finish_reason": "stop"}
    reply = Reply(pieces=(piece({"tool_calls": [3]}),)) if stream else Reply(more={"choices": [choice]})
    async with asking(serve, reply) as (client, _):
        with pytest.raises(openai.APIError) as caught:
            await read(await client.responses.create(model="fake/m", input="Hi", stream=stream), [])  # type: ignore[call-overload]
    assert caught.value.code == "upstream_protocol"


async def test_an_input_beyond_the_limit_is_refused(serve: Any) -> None:
    """The limit of messages holds for items too."""
    async with asking(serve) as (client, asked):
        with pytest.raises(openai.BadRequestError, match="10000 items") as caught:
            await client.responses.create(model="fake/m", input=[{"role": "user", "content": "Hi"}] * 10_001)
    assert (caught.value.param, asked) == ("input", [])
