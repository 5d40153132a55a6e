"""Requests of the Responses API as chats."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.errors import InvalidRequest
from localagent_gateway.apis.openai.responses import chat_request
from localagent_gateway.apis.openai.responses_input import messages_of

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}
TOLD = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = "data:image/png;base64,AAAA"


def said(text: str, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part], **more}


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        ([{"role": "developer", "content": "Hi"}], [{"role": "system", "content": "Hi"}]),
        ([{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], [{"role": "user", "content": "Hi"}]),
        ([said("Yes.")], [{"role": "assistant", "content": "Yes."}]),
        (
            [{"role": "user", "content": [
                {"type": "input_text", "text": "See:"},
                {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:"},
            ]}],
            [{"role": "user", "content": [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:", "filename": "a.pdf"}},
            ]}],
        ),
        (
            [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
            [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
        ),
    ],
)  # fmt: skip
def test_an_input_becomes_messages(given: Any, messages: list[dict[str, Any]]) -> None:
    """Texts, messages and their parts."""
    assert messages_of(given) == messages


def test_calls_side_by_side_are_one_message() -> None:
    """A chat wants all calls of a turn in one message, in front of their outputs."""
    other = CALL | {"call_id": "c2"}
    outputs = [{"type": "function_call_output", "call_id": id, "output": id.upper()} for id in ("c1", "c2")]
    assert messages_of([CALL, {"type": "reasoning", "summary": []}, other, *outputs]) == [
        {"role": "assistant", "content": None, "tool_calls": [TOLD, TOLD | {"id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "C1"},
        {"role": "tool", "tool_call_id": "c2", "content": "C2"},
    ]


@pytest.mark.parametrize("items", [[said("Well."), CALL], [CALL, said("Well.")]])
def test_text_beside_a_call_is_in_its_message(items: list[dict[str, Any]]) -> None:
    """Before or behind it: no message may come between a call and its output."""
    assert messages_of(items) == [{"role": "assistant", "content": "Well.", "tool_calls": [TOLD]}]


def test_two_answers_stay_two_messages() -> None:
    """What has no calls is not put together."""
    assert messages_of([said("One."), said("Two.")]) == [
        {"role": "assistant", "content": "One."}, {"role": "assistant", "content": "Two."},
    ]  # fmt: skip


def test_an_output_of_parts_is_sent() -> None:
    """A function may answer a list of parts."""
    output = {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "rain"}]}
    assert messages_of([CALL, output])[1] == {"role": "tool", "tool_call_id": "c1", "content": "rain"}


@pytest.mark.parametrize(
    "given",
    [
        None, 3, {"role": "user"}, [3], [{"role": "user"}], [{"content": "Hi"}], [{"role": "nobody", "content": "Hi"}],
        [{"role": ["user"], "content": "Hi"}], [{"role": "user", "content": [3]}], [{"type": ["message"]}],
        [{"role": "user", "content": [{"type": "input_text"}]}], [{"role": "user", "content": [{"type": "video"}]}],
        [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
        [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
        [{"type": "item_reference", "id": "i"}], [{"type": "function_call", "call_id": "c", "name": "f"}],
        [{"type": "function_call_output", "output": "x"}], [{"type": "computer_call"}],
    ],
)  # fmt: skip
def test_an_input_that_no_chat_can_say_is_refused(given: Any) -> None:
    """With its place; never dropped in silence, never an error of another kind."""
    with pytest.raises(InvalidRequest, match="input"):
        messages_of(given)


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"max_output_tokens": 5}, {"max_completion_tokens": 5}),
        ({"reasoning": {"effort": "high", "summary": "auto"}}, {"reasoning_effort": "high"}),
        ({"reasoning": None, "text": None, "tools": None}, {}),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}},
            {"response_format": {"type": "json_schema",
                                 "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}},
        ),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {}),  # a chat without tools may have neither
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
             "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": False}}],
             "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
        ({"store": False, "background": False, "previous_response_id": None, "truncation": "disabled"}, {}),
        ({"include": ["reasoning.encrypted_content"], "stream": True, "stream_options": {}}, {}),
        ({"metadata": {"a": "1"}}, {}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"top_logprobs": 0, "service_tier": "flex"}, {"service_tier": "flex"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),  # refused later, by name
        ({"tool_choice": "none", "tools": []}, {}),
        ({"temperature": 0.1, "top_p": 0.2, "user": "u", "seed": 3, "vendor": [1]},
         {"temperature": 0.1, "top_p": 0.2, "user": "u", "seed": 3, "vendor": [1]}),
    ],
)  # fmt: skip
def test_a_field_becomes_that_of_a_chat(document: dict[str, Any], fields: dict[str, Any]) -> None:
    """Translated, passed on, or told in the answer alone."""
    message = {"role": "user", "content": "Hi"}
    assert chat_request({"model": "m", "input": "Hi", **document}).document == {
        "model": "m", "messages": [message], **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"instructions": 3}, "instructions"), ({"instructions": ["a"]}, "instructions"),
        ({"reasoning": "high"}, "reasoning"), ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"reasoning": {"depth": 3}}, "reasoning.depth"), ({"text": []}, "text"),
        ({"text": {"format": "json"}}, "text.format"), ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": "x"}}}, "text.format.schema"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"tools": {}}, "tools"), ({"tools": {"type": "function"}}, "tools"), ({"tools": "f"}, "tools"),
        ({"tools": 0}, "tools"), ({"tools": False}, "tools"), ({"tools": ""}, "tools"),
        ({"tools": [3]}, "tools[0]"), ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "custom", "name": "f"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": "some"}, "tool_choice"), ({"tool_choice": 3}, "tool_choice"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"include": "all"}, "include"), ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"input": []}, "input"), ({"input": None}, "input"), ({"input": {}}, "input"), ({"input": 3}, "input"),
        ({"metadata": []}, "metadata"), ({"metadata": "a"}, "metadata"), ({"metadata": {"a": 1}}, "metadata.a"),
        ({"max_output_tokens": "5"}, "max_output_tokens"), ({"max_output_tokens": True}, "max_output_tokens"),
        ({"max_tool_calls": "5"}, "max_tool_calls"), ({"temperature": "hot"}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"), ({"top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": True}, "top_logprobs"), ({"service_tier": {}}, "service_tier"),
        ({"user": 3}, "user"), ({"model": []}, "model"), ({"truncation": "auto"}, "truncation"),
    ],
)  # fmt: skip
def test_a_field_of_another_shape_is_refused(document: dict[str, Any], named: str) -> None:
    """As a request that is wrong, by a sentence that names the field, empty or not."""
    with pytest.raises(InvalidRequest) as caught:
        chat_request({"input": "Hi", **document})
    assert named in caught.value.message or document == {"input": []}


@pytest.mark.parametrize("arguments", ["", " \n"])
def test_a_call_without_arguments_is_sent_back_with_an_empty_object(arguments: str) -> None:
    """Servers decode the arguments of former calls."""
    said = messages_of([{**CALL, "arguments": arguments}])
    assert said[0]["tool_calls"] == [TOLD]
