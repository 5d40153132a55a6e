"""Conversations in the OpenAI schema become Ollama's."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent import Attempt
from localagent.errors import InvalidRequest
from localagent_provider_ollama.answers import chat_response
from localagent_provider_ollama.messages import ollama_messages

PIXEL = base64.b64encode(b"\x89PNG").decode()
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": "Hello"}, {"role": "user", "content": "Hello"}),
        ({"role": "developer", "content": "Be brief"}, {"role": "system", "content": "Be brief"}),
        ({"role": "assistant", "content": None}, {"role": "assistant", "content": ""}),
        (
            {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None},
            {"role": "assistant", "content": "Hi"},
        ),
        (
            {"role": "assistant", "content": "4", "reasoning_content": "2+2"},
            {"role": "assistant", "content": "4", "thinking": "2+2"},
        ),
        (
            {"role": "assistant", "content": "4", "reasoning": "2+2"},
            {"role": "assistant", "content": "4", "thinking": "2+2"},
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "a\nb"},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call_1", "function": {"name": "add", "arguments": {"a": 1}}}],
            },
        ),
        ({"role": "tool", "content": "3", "name": "add"}, {"role": "tool", "content": "3", "tool_name": "add"}),
        (
            {"role": "tool", "content": "3", "tool_call_id": "x"},
            {"role": "tool", "content": "3", "tool_call_id": "x"},
        ),
    ],
    ids=str,
)
def test_a_message_says_it_in_ollamas_way(message: dict[str, Any], said: dict[str, Any]) -> None:
    """Roles, texts, thinking and calls; the official client's own type takes every one."""
    assert ollama_messages([message]) == [said]
    ollama.Message.model_validate(said)


@pytest.mark.parametrize(
    "head", ["data:image/png;base64,", "data:image/jpeg;base64,", "DATA:;BASE64,", "data:image/webp;charset=x;base64,"]
)
def test_an_image_is_taken_out_of_its_address(head: str) -> None:
    """Of any kind, also where the address is not wrapped in an object."""
    wrapped = image(head + PIXEL)
    bare = {"role": "user", "content": [{"type": "image_url", "image_url": head + PIXEL}]}

    assert ollama_messages([wrapped]) == ollama_messages([bare]) == [{"role": "user", "content": "", "images": [PIXEL]}]


def test_text_and_images_stand_in_one_message() -> None:
    """The order among images and the order among texts stay."""
    parts = [
        {"type": "text", "text": "first"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "text", "text": "second"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,BBBB"}},
    ]

    assert ollama_messages([{"role": "user", "content": parts}]) == [
        {"role": "user", "content": "first\nsecond", "images": ["AAAA", "BBBB"]}
    ]


def test_the_answer_of_a_tool_names_the_tool() -> None:
    """Ollama knows tools by name, the OpenAI schema by the call; where an id came twice the last one counts."""
    again = {**CALL, "function": {"name": "subtract", "arguments": "{}"}}
    conversation = [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "3", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "", "tool_calls": [again]},
        {"role": "tool", "content": "1", "tool_call_id": "call_1"},
    ]
    said = ollama_messages(conversation)

    assert [message.get("tool_name") for message in said] == [None, "add", None, "subtract"]


@pytest.mark.parametrize(
    "message",
    [
        image("https://example.com/cat.png"),
        image("file:///cat.png"),
        image("data:image/png,raw"),
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]},
        {"role": "function", "content": "3", "name": "add"},
        {"role": "narrator", "content": "Once"},
        {"content": "Hello"},
        {"role": "user", "content": "Hello", "name": "Ada"},
        {"role": "assistant", "content": "", "refusal": "I will not."},
        {"role": "assistant", "content": "", "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "x"}}]},
    ],
    ids=str,
)
def test_a_message_that_ollama_cannot_say_is_refused(message: dict[str, Any]) -> None:
    """The error names the message, and does not show its text."""
    with pytest.raises(InvalidRequest, match=r"messages\[1\]") as refused:
        ollama_messages([{"role": "user", "content": "Hello"}, message])

    assert refused.value.code == "unsupported"
    assert "cat" not in str(refused.value)


@pytest.mark.parametrize(
    "message",
    [
        "Hello",
        {"role": "user", "content": 5},
        {"role": "user", "content": ["Hello"]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": [{"text": "Hello"}]},
        {"role": "user", "content": [{"type": "image_url"}]},
        {"role": "assistant", "content": "", "tool_calls": "add"},
        {"role": "assistant", "content": "", "tool_calls": ["add"]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": "{1"}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": "[1]"}}]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 10**5}}]},
    ],
    ids=lambda message: str(message)[:110],
)
def test_a_message_that_is_wrong_everywhere_is_refused_as_such(message: Any) -> None:
    """With the code of a wrong request."""
    with pytest.raises(InvalidRequest) as refused:
        ollama_messages([message])

    assert refused.value.code == "invalid_request"


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(st.text(max_size=8), values, max_size=4)


@given(st.lists(st.tuples(st.text(min_size=1), arguments), min_size=1, max_size=3), st.text(), st.text())
def test_what_a_model_said_comes_back_as_it_was(
    attempt_of: Callable[..., Attempt], calls: list[tuple[str, dict[str, Any]]], text: str, thought: str
) -> None:
    """Text, thinking and tool calls of an answer, put into the next request, are what Ollama sent."""
    native: dict[str, Any] = {
        "role": "assistant",
        "content": text,
        "tool_calls": [{"function": {"name": name, "arguments": given}} for name, given in calls],
    }
    if thought:
        native["thinking"] = thought
    raw = msgspec.json.encode({"model": "m", "message": native, "done": True, "done_reason": "stop"})
    (again,) = ollama_messages([chat_response(raw, attempt_of()).message])
    for number, call in enumerate(again["tool_calls"]):
        assert call.pop("id") == f"call_la-1_{number}"

    assert again == native
