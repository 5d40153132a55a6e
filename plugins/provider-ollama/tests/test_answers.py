"""Whole answers of Ollama's become answers in the OpenAI schema."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from localagent import Attempt, Usage
from localagent.errors import EmptyResponse, ModelNotFound, StreamInterrupted, UpstreamProtocol, UpstreamServerError
from localagent_provider_ollama.answers import chat_response, completion_response, embed_response

AttemptOf = Callable[..., Attempt]
COUNTS = {
    "total_duration": 9_000_000_000,
    "load_duration": 5_000_000_000,
    "prompt_eval_count": 10,
    "prompt_eval_duration": 1_500_000_000,
    "eval_count": 20,
    "eval_duration": 2_500_000_000,
}
TIMES = {"load_seconds": 5.0, "prompt_seconds": 1.5, "generation_seconds": 2.5}
END = {"model": "llama3.2:3b", "created_at": "2026-01-01T00:00:00.123456789Z", "done": True, "done_reason": "stop"}


def chat_bytes(message: Any, **more: Any) -> bytes:
    return msgspec.json.encode({**END, "message": message, **COUNTS, **more})


def test_a_chat_is_a_chat_completion(attempt_of: AttemptOf) -> None:
    """Ids follow from the call's; the model that answered is named."""
    response = chat_response(chat_bytes({"role": "assistant", "content": "Hello"}), attempt_of())

    assert response.document == {
        "id": "chatcmpl-la-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "llama3.2:3b",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        "timings": TIMES,
    }
    assert (response.text, response.finish_reason, response.usage) == ("Hello", "stop", Usage(10, 20, 30))
    assert (response.model, response.instance, response.request_id) == ("ollama/llama3.2", "ollama@here", "la-1")
    assert response.facts == TIMES
    ChatCompletion.model_validate(response.document)


def test_tool_calls_and_thinking_have_their_places(attempt_of: AttemptOf) -> None:
    """A call without an id gets one; arguments are JSON text, number for number as they came."""
    message = (
        b'{"role":"assistant","content":"","thinking":"2+2","tool_calls":[{"function":{"index":0,"name":"add",'
        b'"arguments":{"a":1.0,"b":[1e2]}}},{"id":"call_x","function":{"name":"none"}}]}'
    )
    response = chat_response(chat_bytes(msgspec.Raw(message)), attempt_of())

    assert response.message == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "2+2",
        "tool_calls": [
            {"id": "call_la-1_0", "type": "function", "function": {"name": "add", "arguments": '{"a":1.0,"b":[1e2]}'}},
            {"id": "call_x", "type": "function", "function": {"name": "none", "arguments": "{}"}},
        ],
    }
    assert (response.text, response.finish_reason) == ("", "tool_calls")
    ChatCompletion.model_validate(response.document)


@pytest.mark.parametrize(("sent", "arguments"), [('"{\\"a\\": 1}"', '{"a": 1}'), ("null", "{}"), ("{}", "{}")])
def test_arguments_may_come_as_text(attempt_of: AttemptOf, sent: str, arguments: str) -> None:
    """Some servers in front of Ollama send the text of an object."""
    message = {"content": "", "tool_calls": [{"function": {"name": "add", "arguments": msgspec.Raw(sent.encode())}}]}
    response = chat_response(chat_bytes(message), attempt_of())

    assert response.message["tool_calls"][0]["function"]["arguments"] == arguments


def test_log_probabilities_have_the_openai_shape(attempt_of: AttemptOf) -> None:
    """Each token with its alternatives, which may be missing."""
    tokens = [
        {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [{"token": "Yo", "logprob": -1}]},
        {"token": "!", "logprob": -0.25},
    ]
    response = chat_response(chat_bytes({"content": "Hi!"}, logprobs=tokens), attempt_of())
    choice = ChatCompletion.model_validate(response.document).choices[0]

    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert [(token.token, token.logprob, len(token.top_logprobs)) for token in choice.logprobs.content] == [
        ("Hi", -0.5, 1),
        ("!", -0.25, 0),
    ]


@pytest.mark.parametrize(("reason", "finish"), [("stop", "stop"), ("length", "length"), (None, "stop"), ("", "stop")])
def test_the_reason_is_the_same(attempt_of: AttemptOf, reason: str | None, finish: str) -> None:
    """Older versions give none."""
    assert chat_response(chat_bytes({"content": "a"}, done_reason=reason), attempt_of()).finish_reason == finish


def test_what_is_not_counted_is_not_made_up(attempt_of: AttemptOf) -> None:
    """Ollama leaves out counts of zero; where both are missing it has not counted."""
    bare = msgspec.json.encode({**END, "message": {"content": "a"}})
    half = msgspec.json.encode({**END, "message": {"content": "a"}, "eval_count": 3})

    assert (chat_response(bare, attempt_of()).usage, chat_response(bare, attempt_of()).facts) == (None, {})
    assert chat_response(half, attempt_of()).usage == Usage(0, 3, 3)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_an_answer_that_only_loaded_is_empty(attempt_of: AttemptOf, reason: str) -> None:
    """It says nothing about the question."""
    with pytest.raises(EmptyResponse):
        chat_response(chat_bytes({"content": ""}, done_reason=reason), attempt_of())
    with pytest.raises(EmptyResponse):
        completion_response(msgspec.json.encode({**END, "response": "", "done_reason": reason}), attempt_of("complete"))


def test_to_continue_nothing_loads_the_model(attempt_of: AttemptOf) -> None:
    """Ollama reports it, and that is what was asked."""
    raw = msgspec.json.encode({**END, "response": "", "done_reason": "unload"})
    response = completion_response(raw, attempt_of("complete", prompt=""))
    assert (response.text, response.finish_reasons) == ("", ("unload",))


def test_an_error_inside_a_200_is_translated(attempt_of: AttemptOf) -> None:
    """By what it says."""
    with pytest.raises(ModelNotFound, match=r"ollama pull llama3\.2"):
        chat_response(b'{"error":"model \'llama3.2\' not found"}', attempt_of())
    with pytest.raises(UpstreamServerError):
        embed_response(b'{"error":"llama runner process has terminated"}', attempt_of("embed"), asked=1)


@pytest.mark.parametrize(
    ("raw", "again"),
    [
        (b"", True),
        (b"hello", True),
        (b'{"message":{"content":"a"', True),
        (b"[]", True),
        (b"{}", False),
        (b'{"message":{"content":5},"done":true}', False),
        (b'{"message":{"content":"\\ud800"},"done":true}', False),
        (b'{"message":{"content":"\xff"},"done":true}', False),
        (b'{"message":{"content":"half"},"done":false}', True),
        (b'{"response":"of another kind","done":true}', False),
        (b"<html><body>Log in</body></html>", False),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_protocol(attempt_of: AttemptOf, raw: bytes, again: bool) -> None:
    """It never becomes an answer; where it looks cut the same server may do better the next time."""
    with pytest.raises(UpstreamProtocol) as refused:
        chat_response(raw, attempt_of())

    assert (refused.value.advice.same, refused.value.advice.next) == (again, True)


LINES = [
    {"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False},
    {"model": "m", "message": {"role": "assistant", "content": "lo"}, "done": False},
    {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length", **COUNTS},
]


def lines(objects: list[dict[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in objects)


def test_a_stream_that_came_unasked_is_joined(attempt_of: AttemptOf) -> None:
    """Some servers stream whatever is asked."""
    response = chat_response(lines(LINES), attempt_of())

    assert (response.text, response.finish_reason, response.usage) == ("Hello", "length", Usage(10, 20, 30))
    assert response.facts == response.document["timings"] == TIMES
    with pytest.raises(StreamInterrupted):
        chat_response(lines(LINES[:2]), attempt_of())


def test_an_answer_over_several_lines_is_read(attempt_of: AttemptOf) -> None:
    """Pretty-printed JSON is one document."""
    pretty = msgspec.json.format(chat_bytes({"content": "Hello"}), indent=2)

    assert chat_response(pretty, attempt_of()).text == "Hello"


def test_a_completion_is_a_text_completion(attempt_of: AttemptOf) -> None:
    """Streamed unasked or not."""
    whole = msgspec.json.encode({**END, "response": " upon a time", "context": [1, 2], **COUNTS})
    parts = [{"response": " upon"}, {"response": " a time"}, {**END, "response": "", **COUNTS}]
    for raw in (whole, lines(parts)):
        response = completion_response(raw, attempt_of("complete"))

        assert (response.text, response.usage, response.facts) == (" upon a time", Usage(10, 20, 30), TIMES)
        assert response.document["id"] == "cmpl-la-1"
        assert response.finish_reasons == ("stop",)
        Completion.model_validate(response.document)
    with pytest.raises(UpstreamProtocol):
        completion_response(chat_bytes({"content": "a"}), attempt_of("complete"))


def test_embeddings_are_a_list(attempt_of: AttemptOf) -> None:
    """The numbers stay as they came."""
    raw = b'{"model":"e","embeddings":[[0.5,-1.0],[1e-3,2]],"prompt_eval_count":4,"load_duration":1000000000}'
    response = embed_response(raw, attempt_of("embed"), asked=2)

    assert response.vectors == [[0.5, -1.0], [0.001, 2]]
    assert (response.usage, response.facts) == (Usage(4, 0, 4), {"load_seconds": 1.0})
    assert b"1e-3" in response.raw
    CreateEmbeddingResponse.model_validate(response.document)


def test_embeddings_come_in_base64_when_that_is_asked_for(attempt_of: AttemptOf) -> None:
    """As the official client asks: little-endian floats of 32 bits."""
    raw = b'{"embeddings":[[0.5,-1.0]]}'
    response = embed_response(raw, attempt_of("embed", encoding_format="base64"), asked=1)
    packed = response.document["data"][0]["embedding"]

    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.5, -1.0)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"embeddings":[[1.0]]}',
        b'{"embeddings":null}',
        b"{}",
        b"",
        b'{"embeddings":[["a"],[1.0]]}',
        b'{"embeddings":[[1e39],[1.0]]}',
    ],
)
def test_embeddings_that_do_not_fit_are_an_error_of_the_protocol(attempt_of: AttemptOf, raw: bytes) -> None:
    """One vector an input, of numbers; a missing one would give every later text another's vector."""
    with pytest.raises(UpstreamProtocol):
        embed_response(raw, attempt_of("embed", encoding_format="base64"), asked=2)
