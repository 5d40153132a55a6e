"""Anthropic's own client, asynchronous and in a thread, against the gateway."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic_clients import ASKED, asking, called, client_of, in_thread, piece, read

from localagent import Plugin, Request, Usage, hookimpl
from localagent.errors import Overloaded, UpstreamServerError
from localagent_testing import Reply, fake_provider_plugin, sse

TOOL: Any = {"name": "weather", "description": "Tell the weather.", "input_schema": {"type": "object"}}
WHOLE_CALL = (called(0, '{"city":"Ulm"}', "weather", "call_1"),)
CALLS = (
    piece({"content": "Let me look."}),
    called(0, "", "weather", "call_1"),
    called(0, '{"ci'),
    called(0, 'ty":"Ulm"}'),
    called(1, '{"city":"Jena"}', "weather", "call_2"),
)


class Words(Plugin):
    """Counts words."""

    name = "tokenize-words"

    @hookimpl
    def tokenize(self) -> Any:
        return self

    def message(self, message: dict[str, Any]) -> int:
        return len(message["content"].split())

    def request(self, request: Request) -> int:
        return sum(map(self.message, request.document["messages"]))


async def test_a_message_is_answered(serve: Any) -> None:
    """Text, reason, usage without what was cached, model, role; asynchronously and in a thread."""
    usage = Usage(10, 2, 12)
    async with asking(serve, Reply("Hello.", usage=usage)) as (client, asked):
        one = await client.messages.create(**ASKED)
        other = await in_thread(client, lambda it: it.messages.create(**ASKED))
    for message in (one, other):
        assert [(block.type, block.text) for block in message.content] == [("text", "Hello.")]
        assert (message.stop_reason, message.role, message.model) == ("end_turn", "assistant", "fake/m")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 2)
        assert message.id.startswith("msg_")
        assert message._request_id.startswith("req-")
    assert asked[0].attempt.request.document == {**ASKED, "model": "fake/m"}


async def test_what_a_server_had_cached_is_counted_apart(serve: Any) -> None:
    """Input tokens are those that were read again."""
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    last = sse([{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}])
    reply = Reply(pieces=(piece({"content": "a"}), last), ends=False)
    async with asking(serve, reply) as (client, _), client.messages.stream(**ASKED) as stream:
        message = await stream.get_final_message()
    reported = message.usage
    assert (reported.input_tokens, reported.cache_read_input_tokens, reported.output_tokens) == (6, 4, 2)


async def test_a_stream_is_gathered_by_the_client(serve: Any) -> None:
    """The helper of the SDK ends with the same message; the usage was asked of the server."""
    async with asking(serve, Reply(pieces=("Hel", "lo."))) as (client, asked):
        async with client.messages.stream(**ASKED) as stream:
            texts = [text async for text in stream.text_stream]
            one = await stream.get_final_message()
        other = await in_thread(client, _gathered)
    assert texts == ["Hel", "lo."]
    for message in (one, other):
        assert message.content[0].text == "Hello."
        assert (message.stop_reason, message.model) == ("end_turn", "fake/m")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 2)
    assert asked[0].attempt.request.get("stream_options") == {"include_usage": True}


def _gathered(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(**ASKED) as stream:
        return stream.get_final_message()


def whole(finish: str = "stop", **message: Any) -> Reply:
    """Return a whole answer with this message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return Reply(more={"choices": [choice]})


def call(arguments: Any, name: str = "weather") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


async def test_a_whole_answer_holds_all_its_blocks(serve: Any) -> None:
    """Thoughts, text and calls in this order; a call without an id gets one, arguments are an object."""
    calls = [{"id": "c1", **call('{"city":"Ulm"}')}, call(""), call({"city": "Jena"})]
    reply = whole("stop", content="Let me look.", reasoning_content="Hm.", tool_calls=calls)
    async with asking(serve, reply) as (client, _):
        message = await client.messages.create(**ASKED, tools=[TOOL])
    thoughts, text, one, other, third = message.content
    assert (thoughts.type, thoughts.thinking, text.text) == ("thinking", "Hm.", "Let me look.")
    assert [block.input for block in (one, other, third)] == [{"city": "Ulm"}, {}, {"city": "Jena"}]
    assert one.id == "c1"
    assert len({one.id, other.id, third.id}) == 3
    assert message.stop_reason == "tool_use"


async def test_a_refusal_is_told(serve: Any) -> None:
    """Its words as text, and the reason."""
    async with asking(serve, whole(content=None, refusal="No.")) as (client, _):
        message = await client.messages.create(**ASKED)
    assert (message.content[0].text, message.stop_reason) == ("No.", "refusal")


async def test_an_answer_in_parts_is_one_text(serve: Any) -> None:
    """Some servers answer so."""
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]
    async with asking(serve, whole(content=parts)) as (client, _):
        message = await client.messages.create(**ASKED)
    assert [block.text for block in message.content] == ["Hello."]


@pytest.mark.parametrize(
    "said",
    [
        {"tool_calls": [call('{"city":')]},
        {"tool_calls": [call("[1]")]},
        {"tool_calls": [call('"x"')]},
    ],
)
async def test_an_answer_that_cannot_be_told_is_an_error(serve: Any, said: Any) -> None:
    """No half of it is handed out."""
    async with asking(serve, whole(**said)) as (client, _):
        with pytest.raises(anthropic.InternalServerError) as caught:
            await client.messages.create(**ASKED)
    assert caught.value.body["error"]["type"] == "api_error"


async def test_the_input_of_tools_is_streamed(serve: Any) -> None:
    """Text, then two calls, one block after the other; the pieces of the input pass as they came."""
    async with (
        asking(serve, Reply(pieces=CALLS, finish="tool_calls")) as (client, asked),
        client.messages.stream(**ASKED, tools=[TOOL]) as stream,
    ):
        events = [event async for event in stream]
        message = await stream.get_final_message()
    pieces = [event.partial_json for event in events if event.type == "input_json"]
    assert pieces == ['{"ci', 'ty":"Ulm"}', '{"city":"Jena"}']
    assert message.stop_reason == "tool_use"
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert calls == [("call_1", "weather", {"city": "Ulm"}), ("call_2", "weather", {"city": "Jena"})]
    bounds = [event.type for event in events if event.type in ("content_block_start", "content_block_stop")]
    assert bounds == ["content_block_start", "content_block_stop"] * 3
    assert asked[0].attempt.request.get("tools")[0]["function"]["parameters"] == {"type": "object"}


async def test_a_tool_is_called_and_its_result_answered(serve: Any) -> None:
    """What the client sends back of an answer, its own blocks, is understood."""
    replies = [Reply(pieces=WHOLE_CALL, finish="tool_calls"), Reply("Rain.")]
    async with asking(serve, replies) as (client, asked):
        async with client.messages.stream(**ASKED, tools=[TOOL]) as stream:
            first = await stream.get_final_message()
        result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "Rain"}
        talk = [*ASKED["messages"], {"role": "assistant", "content": first.content}]
        asking_on = {**ASKED, "messages": [*talk, {"role": "user", "content": [result]}]}
        second = await client.messages.create(**asking_on, tools=[TOOL])
    assert second.content[0].text == "Rain."
    _, assistant, tool = asked[1].attempt.request.get("messages")
    assert assistant["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Ulm"}'}
    assert tool == {"role": "tool", "tool_call_id": "call_1", "content": "Rain"}


async def test_thoughts_are_blocks(serve: Any) -> None:
    """Streamed thoughts come before the text, in a block of their own, and may be sent back."""
    pieces = (piece({"reasoning_content": "Hm"}), piece({"reasoning": "m."}), piece({"content": "Yes."}))
    async with asking(serve, Reply(pieces=pieces)) as (client, asked):
        thinking: Any = {"type": "enabled", "budget_tokens": 2048}
        async with client.messages.stream(**ASKED | {"max_tokens": 4096}, thinking=thinking) as stream:
            message = await stream.get_final_message()
        talk = [*ASKED["messages"], {"role": "assistant", "content": message.content}, *ASKED["messages"]]
        await client.messages.create(**ASKED | {"messages": talk})
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "Hmm."
    assert asked[0].attempt.request.get("reasoning_effort") == "low"
    assert asked[1].attempt.request.get("messages")[1]["reasoning_content"] == "Hmm."


async def test_an_image_reaches_the_model(serve: Any) -> None:
    """As the OpenAI schema says it."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    asking_of_it: Any = {**ASKED, "messages": [{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]}
    async with asking(serve) as (client, asked):
        await client.messages.create(**asking_of_it)
    parts = asked[0].attempt.request.get("messages")[0]["content"]
    assert parts[0] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}


@pytest.mark.parametrize(
    ("finish", "more", "reason", "sequence"),
    [
        ("stop", {}, "end_turn", None),
        ("length", {}, "max_tokens", None),
        ("content_filter", {}, "refusal", None),
        ("stop", {"stop_reason": "END"}, "stop_sequence", "END"),
        ("stop", {"stop_reason": "OTHER"}, "end_turn", None),
    ],
)
async def test_the_reason_of_the_end_is_told(serve: Any, finish: str, more: Any, reason: str, sequence: Any) -> None:
    """Streamed and gathered; a stop sequence is reported where the server names it."""
    reply = Reply(pieces=(piece({"content": "a"}, **more),), finish=finish)
    async with asking(serve, reply) as (client, asked), client.messages.stream(**ASKED, stop_sequences=["END"]) as run:
        message = await run.get_final_message()
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
    assert asked[0].attempt.request.get("stop") == ["END"]


async def test_a_wrong_model_is_not_found(serve: Any) -> None:
    """The SDK's own error, whole and streamed, with Anthropic's type and the request's id."""
    async with asking(serve) as (client, _):
        for streamed in (False, True):
            with pytest.raises(anthropic.NotFoundError) as caught:
                await client.messages.create(**ASKED | {"model": "nobody/m"}, stream=streamed)
            assert caught.value.body["error"]["type"] == "not_found_error"
            assert caught.value.request_id == caught.value.body["request_id"] is not None
        with pytest.raises(anthropic.NotFoundError):
            await in_thread(client, lambda it: it.messages.create(**ASKED | {"model": "nobody/m"}))


@pytest.mark.parametrize(("name", "value"), [("max_tokens", None), ("container", "c")])
async def test_a_bad_request_says_what_is_wrong(serve: Any, name: str, value: Any) -> None:
    """A missing limit and a field that cannot be said: a typed error that names it; nothing is sent."""
    async with asking(serve) as (client, asked):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.messages.create(**ASKED, extra_body={name: value})
    error = caught.value.body["error"]
    assert error["type"] == "invalid_request_error"
    assert name in error["message"]
    assert asked == []


@pytest.mark.parametrize(
    ("error", "kind", "reported"),
    [
        (Overloaded("Busy."), anthropic.ServiceUnavailableError, "overloaded_error"),
        (UpstreamServerError("Broken."), anthropic.InternalServerError, "api_error"),
    ],
)
async def test_a_failure_before_content_has_its_status(serve: Any, error: Any, kind: Any, reported: str) -> None:
    """Streams too: nothing was sent yet, so the status can still tell; clients learn not to ask again at once."""
    async with asking(serve, error) as (client, _):
        for streamed in (False, True):
            with pytest.raises(kind) as caught:
                await client.messages.create(**ASKED, stream=streamed)
            assert caught.value.body["error"]["type"] == reported
            assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_stream_that_breaks_off_raises(serve: Any) -> None:
    """What had come is there, then the SDK raises; the message never seems to have ended."""
    async with asking(serve, Reply(pieces=("Hel", "lo"), ends=False)) as (client, _):
        events: list[Any] = []
        with pytest.raises(anthropic.APIStatusError) as caught:
            await read(await client.messages.create(**ASKED, stream=True), events)
        with pytest.raises(anthropic.APIStatusError):
            await in_thread(client, lambda it: list(it.messages.create(**ASKED, stream=True)))
        with pytest.raises(anthropic.APIStatusError):
            await in_thread(client, _gathered)
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == "Hello"
    assert events[-1].type == "content_block_delta"
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == "api_error"
    assert caught.value.body["request_id"].startswith("req-")


MIXED = called(0, '{"a":', "f", "c1") + called(1, '{"b":', "g", "c2")


@pytest.mark.parametrize(
    "rest",
    [
        called(0, "1}") + called(1, "2}"),
        called(1, "2}") + called(0, "1}"),
        called(0, "1") + called(1, "2}") + called(0, "}"),
    ],
)
async def test_calls_whose_pieces_come_mixed_are_told_one_after_the_other(serve: Any, rest: bytes) -> None:
    """The first one as it comes; text too waits until its input is whole."""
    events: list[Any] = []
    pieces = (MIXED + piece({"content": "Well."}), rest)
    async with asking(serve, Reply(pieces=pieces, finish="tool_calls")) as (client, _):
        await read(await client.messages.create(**ASKED, stream=True), events)
        async with client.messages.stream(**ASKED) as stream:
            message = await stream.get_final_message()
    starts = [event.index for event in events if event.type == "content_block_start"]
    assert starts == [event.index for event in events if event.type == "content_block_stop"] == [0, 1, 2]
    first, *others = message.content
    assert (first.name, first.input) == ("f", {"a": 1})
    assert sorted((block.type, getattr(block, "input", None)) for block in others) == [
        ("text", None), ("tool_use", {"b": 2}),
    ]  # fmt: skip


async def test_a_call_that_was_cut_off_has_no_input(serve: Any) -> None:
    """The reason of the end says why."""
    async with asking(serve, whole("length", tool_calls=[call('{"city":')])) as (client, _):
        message = await client.messages.create(**ASKED)
    assert [block.input for block in message.content] == [{}]
    assert message.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    "pieces",
    [
        (called(None, "{}", "f", "c1"), called(None, '{"a":1}', "g", "c2")),
        (called(0, "{}", "f", "c1"), called(0, '{"a":1}', "g", "c2")),
        (called(0, "{}", "f"), called(0, '{"a":1}', "g")),
        (called(0, "", "f", "c1"), called(0, "{}", "f", "c1"), called(1, '{"a":1}', "g", "c2")),
    ],
)
async def test_calls_are_told_apart(serve: Any, pieces: Any) -> None:
    """By number, id or name, whatever the server gives; it may repeat them in every piece."""
    async with asking(serve, Reply(pieces=pieces)) as (client, _), client.messages.stream(**ASKED) as stream:
        message = await stream.get_final_message()
    assert [(block.name, block.input) for block in message.content] == [("f", {}), ("g", {"a": 1})]
    assert len({block.id for block in message.content}) == 2
    assert message.stop_reason == "tool_use"


async def test_tokens_are_counted_by_a_plugin(serve: Any) -> None:
    """System prompt and messages; no limit is needed."""
    asked: Any = {"model": "fake/m", "messages": [{"role": "user", "content": "one two"}], "system": "three"}
    async with asking(serve, None, Words) as (client, sent):
        count = await client.messages.count_tokens(**asked)
        other = await in_thread(client, lambda it: it.messages.count_tokens(**asked))
    assert count.input_tokens == other.input_tokens == 3
    assert sent == []


async def test_tokens_are_not_guessed(serve: Any) -> None:
    """Without a plugin that counts, an error says what to install."""
    async with asking(serve) as (client, _):
        with pytest.raises(anthropic.BadRequestError, match="Install one whose name starts with localagent-tokenize"):
            await client.messages.count_tokens(model="fake/m", messages=ASKED["messages"])
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(model="nobody/m", messages=ASKED["messages"])


async def test_models_are_listed_by_pages(serve: Any) -> None:
    """The SDK walks through them and finds each once, with a name and a date."""
    async with asking(serve, models=("m", "n", "o")) as (client, _):
        models = [model async for model in client.models.list(limit=2)]
        every = await in_thread(client, lambda it: it.models.list())
        last = await client.models.list(before_id="fake/o", limit=1)
        one = await client.models.retrieve("fake/n")
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("fake/z")
        with pytest.raises(anthropic.BadRequestError):
            await client.models.list(after_id="fake/z")
    assert [model.id for model in models] == [model.id for model in every.data] == ["fake/m", "fake/n", "fake/o"]
    assert [model.id for model in last.data] == ["fake/n"]
    assert (one.display_name, one.created_at.year, one.type) == ("fake/n", 1970, "model")


async def test_the_beta_client_is_answered(serve: Any) -> None:
    """It asks the same path with a query, and names betas in a header."""
    async with asking(serve, Reply("Hello.")) as (client, _):
        message = await client.beta.messages.create(**ASKED, betas=["some-beta"])
    assert message.content[0].text == "Hello."


async def test_the_clients_key_comes_in_its_own_header(serve: Any) -> None:
    """The SDK sends ``x-api-key``; where keys are needed, a wrong one is its typed error in Anthropic's shape."""
    async with (
        serve(plugins=[fake_provider_plugin()], require_keys="always") as served,
        client_of(served.url) as client,
    ):
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await client.messages.create(**ASKED)
    assert caught.value.body["error"]["type"] == "authentication_error"
