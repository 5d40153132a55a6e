"""A whole answer is split into the events that would have streamed it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_events import HEAD, USAGE, calls, encode, piece, said

from localagent.errors import UpstreamProtocol
from localagent.schema.joining import join_events, split_document


def test_a_chat_is_split_into_content_ends_and_usage() -> None:
    """Two choices: one event each with all they hold, one each with the finish reason, one with the usage."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call, call]}}
    second = {"index": 1, "message": {"role": "assistant", "content": "x", "reasoning": "hm"}, "logprobs": None}
    document = {
        **HEAD,
        "object": "chat.completion",
        "system_fingerprint": "fp",
        "choices": [{**first, "finish_reason": "tool_calls"}, {**second, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    numbered = [{**call, "index": 0}, {**call, "index": 1}]
    events = [json.loads(event) for event in split_document(document)]
    assert [event.pop("choices") for event in events] == [
        [said(role="assistant", content=None, tool_calls=numbered)],
        [{**said(1, role="assistant", content="x", reasoning="hm"), "logprobs": None}],
        [said(finish_reason="tool_calls")],
        [said(1, finish_reason="stop")],
        [],
    ]
    assert events == [{**HEAD, "system_fingerprint": "fp"}, HEAD, HEAD, HEAD, {**HEAD, "usage": USAGE}]


def test_a_text_completion_is_split_into_pieces_of_its_own_kind() -> None:
    """Pieces of text completions have no delta."""
    choice = {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}
    document = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    events = [json.loads(event) for event in split_document(document)]
    assert [event["choices"] for event in events] == [
        [{**choice, "finish_reason": None}],
        [{"index": 0, "text": "", "finish_reason": "stop"}],
    ]
    assert {event["object"] for event in events} == {"text_completion"}


def test_a_choice_of_a_text_completion_always_has_a_text() -> None:
    """Empty where none came, in whole answers and in pieces."""
    document = {"object": "text_completion", "choices": [{"index": 0, "finish_reason": "stop"}]}
    assert join_events([encode(document)])["choices"] == [{"index": 0, "text": "", "finish_reason": "stop"}]
    assert [json.loads(event)["choices"][0]["text"] for event in split_document(document)] == ["", ""]


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ({}, 1),
        ({"choices": None, "usage": None}, 1),
        ({"choices": [], "usage": USAGE}, 2),
        ({"choices": [{}]}, 1),
        ({"choices": [{"message": None, "finish_reason": None}]}, 1),
        ({"choices": [{"finish_reason": "stop"}, {}], "usage": USAGE}, 4),
    ],
)
def test_what_a_document_lacks_makes_no_event(document: dict[str, Any], count: int) -> None:
    """But there is always one; missing indexes are places."""
    events = split_document(document)
    assert len(events) == count
    choices = document.get("choices") or []
    assert [choice["index"] for choice in join_events(events)["choices"]] == list(range(len(choices)))


@pytest.mark.parametrize(
    "document",
    [
        {"choices": {}},
        {"choices": ["SECRET"]},
        {"choices": [{"message": "SECRET"}]},
        {"choices": [{"message": {"tool_calls": "SECRET"}}]},
        {"choices": [{"message": {"tool_calls": ["SECRET"]}}]},
    ],
)
def test_a_document_that_is_no_answer_is_not_split(document: dict[str, Any]) -> None:
    """A typed error whose message holds no content."""
    with pytest.raises(UpstreamProtocol) as caught:
        split_document(document)
    assert "SECRET" not in str(caught.value)


def test_an_index_of_a_whole_answers_tool_call_gives_way_to_its_place() -> None:
    """Some servers number calls in whole answers too, and two with one number would become one."""
    tools = [{"index": 0, **piece("a", "{}")}, {"index": 0, **piece("a", "[]")}]
    document = {"choices": [{"index": 0, "message": {"content": None, "tool_calls": tools}}]}
    assert calls(*split_document(document)) == [(None, "a", "{}"), (None, "a", "[]")]
