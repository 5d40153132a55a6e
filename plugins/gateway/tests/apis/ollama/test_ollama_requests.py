"""Ollama's requests in the OpenAI schema, field by field."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import InvalidRequest
from localagent_gateway.apis.ollama.messages import openai_messages
from localagent_gateway.apis.ollama.requests import (
    CHAT,
    EMBED,
    GENERATE,
    chat_request,
    embed_one_request,
    embed_request,
    generate_request,
    only_loads,
)

HELLO = [{"role": "user", "content": "Hi"}]


def said(**fields: Any) -> dict[str, Any]:
    """What the fields of a chat become, without its messages."""
    document = chat_request({"messages": HELLO, **fields}, streamed=False).document
    return {name: value for name, value in document.items() if name != "messages"}


def image(start: bytes) -> str:
    """Base64 of a file that begins so."""
    return base64.b64encode(start + bytes(20)).decode()


@pytest.mark.parametrize(
    ("given", "become"),
    [
        (
            {"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 7},
            {"temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 7},
        ),
        ({"repeat_penalty": 1.1, "presence_penalty": 1}, {"repeat_penalty": 1.1, "presence_penalty": 1}),
        ({"num_predict": 9}, {"max_tokens": 9}),
        ({"num_predict": -1}, {}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": []}, {}),
        ({"num_ctx": 4096}, {"num_ctx": 4096}),
        ({"num_gpu": 1, "mirostat": 2}, {"options": {"num_gpu": 1, "mirostat": 2}}),
        ({"seed": None}, {}),
    ],
)
def test_options_become_fields(given: dict[str, Any], become: dict[str, Any]) -> None:
    """Those that the OpenAI schema or most servers know; the others stay options."""
    assert said(options=given) == become


def test_an_option_cannot_pose_as_a_field() -> None:
    """Only options of known names leave ``options``: none can choose where a request goes."""
    assert said(options={"api_base": "http://elsewhere", "model": "x"}) == {
        "options": {"api_base": "http://elsewhere", "model": "x"}
    }


@pytest.mark.parametrize(
    ("given", "become"),
    [
        ({"format": "json"}, {"response_format": {"type": "json_object"}}),
        (
            {"format": {"type": "object"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
        ({"format": ""}, {}),
        ({"format": None}, {}),
        ({"think": False}, {"reasoning_effort": "none"}),
        ({"think": "high"}, {"reasoning_effort": "high"}),
        ({"think": True}, {"reasoning_effort": "medium"}),
        ({"tools": []}, {}),
        (
            {"keep_alive": "5m", "truncate": False, "shift": True},
            {"keep_alive": "5m", "truncate": False, "shift": True},
        ),
    ],
)
def test_fields_are_said_in_the_openai_schema(given: dict[str, Any], become: dict[str, Any]) -> None:
    """Or as vendor fields of the same name."""
    assert said(**given) == become


@pytest.mark.parametrize("options", [{"num_predict": 1.5}, {"num_predict": True}, {"num_predict": "9"}, {"stop": 3}])
def test_options_of_another_type_are_refused(options: dict[str, Any]) -> None:
    """Named as the client named them."""
    with pytest.raises(InvalidRequest, match=f"options.{next(iter(options))}"):
        said(options=options)


def test_tool_calls_and_their_answers_find_each_other() -> None:
    """By id, by name in their order, or by their order alone; arguments become JSON text."""

    def call(name: str, **more: Any) -> dict[str, Any]:
        return {**more, "function": {"name": name, "arguments": {"n": 1}}}

    conversation = [
        {"role": "assistant", "content": "", "tool_calls": [call("a"), call("b"), call("a"), call("c", id="mine")]},
        {"role": "tool", "content": "1", "tool_name": "b"},
        {"role": "tool", "content": "2", "tool_name": "a"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4", "tool_call_id": "mine"},
        {"role": "tool", "content": "5", "tool_name": "never called"},
    ]
    first, *answers = openai_messages(conversation)
    assert [one["id"] for one in first["tool_calls"]] == ["call_1", "call_2", "call_3", "mine"]
    assert first["tool_calls"][0]["function"] == {"name": "a", "arguments": '{"n":1}'}
    assert [one.get("tool_call_id") for one in answers] == ["call_2", "call_1", "call_3", "mine", None]
    assert answers[-1]["name"] == "never called"


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\x89PNG", "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF0000WEBP", "webp"), (b"BM", "bmp")],
)
def test_an_image_becomes_a_data_address(start: bytes, kind: str) -> None:
    """Of the type that its first bytes tell; a message may have nothing else."""
    (message,) = openai_messages([{"role": "user", "content": "", "images": [image(start)]}])
    (part,) = message["content"]
    assert part["image_url"]["url"] == f"data:image/{kind};base64,{image(start)}"


@pytest.mark.parametrize("given", ["", "no base64", image(b"%PDF-1.7"), 3, "data:image/png;base64,AAAA"])
def test_what_is_no_image_is_refused(given: Any) -> None:
    """With its place."""
    with pytest.raises(InvalidRequest, match=r"messages\[0\].images\[0\]"):
        openai_messages([{"role": "user", "content": "See", "images": [given]}])


@pytest.mark.parametrize(
    "message",
    [
        "Hi",
        {"content": "Hi"},
        {"role": "user", "content": ["Hi"]},
        {"role": "user", "images": "x"},
        {"role": "assistant", "tool_calls": "x"},
        {"role": "assistant", "tool_calls": [{"function": {}}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]},
    ],
)
def test_what_is_no_message_is_refused(message: Any) -> None:
    """With its place."""
    with pytest.raises(InvalidRequest, match=r"messages\[0\]"):
        openai_messages([message])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(
    ["role", "content", "images", "tool_calls", "function", "name", "arguments", "thinking", "tool_name", "stop",
     "num_predict", "tool_call_id", "id"]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(st.sampled_from(sorted({*CHAT.rules, *GENERATE.rules, *EMBED.rules})), ANYTHING, max_size=5))
def test_any_body_makes_a_request_or_is_refused(body: dict[str, Any]) -> None:
    """Whatever stands in its fields: no other error can come of it."""
    for make in (
        lambda: chat_request(body, streamed=True),
        lambda: generate_request(body, streamed=False),
        lambda: embed_request(body),
        lambda: embed_one_request(body),
        lambda: only_loads(body, "messages"),
    ):
        with contextlib.suppress(InvalidRequest):
            make()
