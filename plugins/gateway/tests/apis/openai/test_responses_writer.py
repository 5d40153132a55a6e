"""The stream events of the Responses API, written from chunks of all kinds."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from localagent import AnswerStream, Chunk, Usage
from localagent.errors import RateLimited, StreamInterrupted
from localagent_gateway.apis.openai.responses_writer import Opening, ResponsesWriter

VALID: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Ended:
    """What a writer reads of a stream that ended well."""

    usage: Usage | None = None


def writer() -> ResponsesWriter:
    made = ResponsesWriter(Opening({}, "x-1", lambda: 1.5))
    made.opening.model = "fake/m"
    return made


def events_of(data: bytes) -> list[dict[str, Any]]:
    """Return the events, each valid by the SDK's models and named like its data."""
    events = []
    for block in data.decode().removesuffix("\n\n").split("\n\n"):
        name, body = block.split("\n")
        event = msgspec.json.decode(body.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        VALID.validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def written(*deltas: dict[str, Any], finish: str = "stop") -> list[dict[str, Any]]:
    """Return the events of a stream of these deltas."""
    made = writer()
    choices = [*({"index": 0, "delta": delta} for delta in deltas), {"index": 0, "finish_reason": finish}]
    data = made.chunks([Chunk(msgspec.json.encode({"choices": [choice]})) for choice in choices])
    return events_of(data + made.end(cast("AnswerStream", Ended())))


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def call(index: int | None, id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    piece = {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{key: value for key, value in piece.items() if value is not None}]}


def calls_in(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    output = events[-1]["response"]["output"]
    return [(one["call_id"], one["name"], one["arguments"]) for one in output if one["type"] == "function_call"]


def test_every_item_closes_before_the_next_opens() -> None:
    """Thinking, text and a call, in this order; the last event has all three."""
    events = written({"role": "assistant", "content": ""}, {"reasoning": "Hm."}, {"content": "Yes."}, call(0, "c", "f"))
    assert names(events) == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "reasoning_text.delta",
        "reasoning_text.done", "content_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["reasoning", "message", "function_call"]
    assert [item["status"] for item in events[-1]["response"]["output"]] == ["completed"] * 3


def test_pieces_of_two_calls_may_alternate() -> None:
    """Each piece finds its call, by its index."""
    events = written(call(0, "a", "f", "[1"), call(1, "b", "g", "[2"), call(0, arguments=",3]"), call(1, arguments="]"))
    assert calls_in(events) == [("a", "f", "[1,3]"), ("b", "g", "[2]")]
    deltas = [(event["output_index"], event["delta"]) for event in events if event["type"].endswith("arguments.delta")]
    assert deltas == [(0, "[1"), (1, "[2"), (0, ",3]"), (1, "]")]


def test_calls_that_share_an_index_are_told_apart() -> None:
    """A named piece with another id is another call, whatever the server numbers it."""
    events = written(call(0, "a", "f", "{}"), call(0, "b", "g", "{"), call(0, arguments="}"), call(0, "b", None, " "))
    assert calls_in(events) == [("a", "f", "{}"), ("b", "g", "{} ")]


def test_calls_that_share_everything_but_the_name_are_told_apart() -> None:
    """A server without ids and indexes; one that repeats the name with every piece goes on with its call."""
    events = written(call(None, None, "f", "{"), call(None, None, "f", "}"), call(None, None, "g", "[]"))
    assert [(name, arguments) for _, name, arguments in calls_in(events)] == [("f", "{}"), ("g", "[]")]


def test_a_call_without_id_and_index_gets_an_id() -> None:
    """So that its output can be sent back."""
    events = written(call(None, None, "f", "{}"))
    assert calls_in(events) == [("call_x-1_0", "f", "{}")]


@pytest.mark.parametrize("arguments", ["", None])
def test_arguments_that_are_none_are_an_empty_object(arguments: Any) -> None:
    """Clients read them as JSON."""
    events = written({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}]})
    assert calls_in(events) == [("a", "f", "{}")]


def test_arguments_that_are_an_object_become_text() -> None:
    """Some servers do not write them as text."""
    events = written({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": [1.50]}}}]})
    assert calls_in(events) == [("a", "f", '{"x":[1.5]}')]


def test_an_answer_that_is_completed_says_when() -> None:
    """One that was cut short is not completed."""
    assert written({"content": "x"})[-1]["response"]["completed_at"] == 1
    assert written({"content": "x"})[0]["response"]["completed_at"] is None
    assert written({"content": "x"}, finish="length")[-1]["response"]["completed_at"] is None


def test_a_refusal_is_a_part_of_its_own() -> None:
    """Behind the text that came before it, in the same message."""
    events = written({"content": "Well, "}, {"refusal": "no"}, {"refusal": "."})
    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "no."
    assert [event["content_index"] for event in events if event["type"].endswith(".delta")] == [0, 1, 1]


def test_thinking_in_parts_of_the_content_is_thinking() -> None:
    """As Mistral sends it."""
    thought = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}
    events = written(thought, {"content": [{"type": "text", "text": "Yes."}]})
    first, second = events[-1]["response"]["output"]
    assert (first["content"][0]["text"], second["content"][0]["text"]) == ("Hm.", "Yes.")


def test_a_stream_without_content_has_an_empty_message() -> None:
    """The finish reason alone is an answer."""
    events = written({})
    (message,) = events[-1]["response"]["output"]
    assert (message["content"][0]["text"], message["status"]) == ("", "completed")


def test_only_the_first_choice_is_told() -> None:
    """The API has no others."""
    made = writer()
    data = made.chunks(
        [Chunk(b'{"choices":[{"index":1,"delta":{"content":"no"}},{"index":0,"delta":{"content":"yes"}}]}')]
    )
    assert [event.get("delta") for event in events_of(data)][-1] == "yes"


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_cut_short_says_why(finish: str, reason: str) -> None:
    """Only its last item is incomplete."""
    events = written({"content": "Yes"}, call(0, "a", "f", "{"), finish=finish)
    response = events[-1]["response"]
    assert (events[-1]["type"], response["incomplete_details"]) == ("response.incomplete", {"reason": reason})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_a_cut_call_is_never_said_to_be_done() -> None:
    """A client would run it."""
    made = writer()
    chunk = Chunk(msgspec.json.encode({"choices": [{"delta": call(0, "a", "f", '{"rm":')}]}))
    events = events_of(made.chunks([chunk]) + made.fail(StreamInterrupted("It broke.")))
    assert names(events)[2:] == ["output_item.added", "function_call_arguments.delta", "failed", "error"]
    assert events[-2]["response"]["output"][0]["status"] == "incomplete"


def test_a_stream_that_fails_at_once_is_opened_first() -> None:
    """Every answer begins with response.created; a limit has the code that the API has for it."""
    events = events_of(writer().fail(RateLimited("Too fast.")))
    assert names(events) == ["created", "in_progress", "failed", "error"]
    assert events[2]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Too fast."}
    assert events[3]["error"]["message"] == events[3]["message"] == "Too fast."
    assert events[3]["code"] == "rate_limited"
