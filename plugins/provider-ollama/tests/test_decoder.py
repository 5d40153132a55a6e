"""Streams of Ollama's become streams in the OpenAI schema, wherever the network cuts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from localagent import Attempt, Chunk, LocalAgentError, Usage
from localagent.errors import (
    EmptyResponse,
    ResponseTooLarge,
    StreamInterrupted,
    UpstreamProtocol,
    UpstreamServerError,
)
from localagent.schema.joining import join_events
from localagent_provider_ollama.answers import chat_response
from localagent_provider_ollama.decoder import OllamaDecoder
from localagent_testing import ndjson

AttemptOf = Callable[..., Attempt]


def line(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "created_at": "2026-01-01T00:00:00Z",
        "message": message or {"content": ""},
        "done": False,
        **more,
    }


def last(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    counts = {"prompt_eval_count": 3, "prompt_eval_duration": 1000, "eval_count": 2, "eval_duration": 2000}
    return line(message, done=True, **{"done_reason": "stop", "load_duration": 3000, **counts, **more})


STREAM = ndjson(
    [
        line({"role": "assistant", "content": ""}),
        line({"role": "assistant", "content": "", "thinking": "Hm "}),
        line({"role": "assistant", "content": "Grüße, 世界"}),
        line({"role": "assistant", "content": " \u2028🙂"}),
        line({"content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}),
        line({"content": "", "tool_calls": [{"function": {"name": "b"}}, {"id": "x", "function": {"name": "c"}}]}),
        last(),
    ]
)


def decoded(decoder: OllamaDecoder, pieces: Sequence[bytes]) -> list[Chunk]:
    """Feed pieces until the decoder is done, then its end."""
    chunks: list[Chunk] = []
    for piece in pieces:
        chunks += decoder.feed(piece)
        if decoder.done:
            return chunks
    return chunks + decoder.end()


def choice(chunk: Chunk) -> dict[str, Any]:
    only: dict[str, Any] = chunk.document["choices"][0]
    return only


def test_each_line_is_a_chunk_of_its_own(attempt_of: AttemptOf) -> None:
    """The first says the role; an empty line says nothing; every tool call is whole and numbered."""
    chunks = decoded(OllamaDecoder(attempt_of(), with_usage=True), [STREAM])
    function = {"type": "function"}

    assert [choice(chunk)["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "reasoning_content": "Hm "},
        {"content": "Grüße, 世界"},
        {"content": " \u2028🙂"},
        {
            "tool_calls": [
                {"index": 0, "id": "call_la-1_0", **function, "function": {"name": "add", "arguments": '{"a":1}'}}
            ]
        },
        {"tool_calls": [{"index": 1, "id": "call_la-1_1", **function, "function": {"name": "b", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 2, "id": "x", **function, "function": {"name": "c", "arguments": "{}"}}]},
        {},
    ]
    assert [choice(chunk)["finish_reason"] for chunk in chunks[:-1]] == [None] * 6 + ["tool_calls"]
    assert chunks[-1].document["choices"] == []
    assert chunks[-1].document["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert [chunk.text for chunk in chunks if chunk.text] == ["Grüße, 世界", " \u2028🙂"]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.document)


def test_the_last_chunk_tells_where_the_time_went(attempt_of: AttemptOf) -> None:
    """As ``timings``; the decoder knows it too, and the tokens, whether they were asked for or not."""
    decoder = OllamaDecoder(attempt_of())
    chunks = decoded(decoder, [STREAM])
    times = {"load_seconds": 3e-6, "prompt_seconds": 1e-6, "generation_seconds": 2e-6}

    assert chunks[-1].document["timings"] == decoder.facts == times
    assert (decoder.done, decoder.finish_reason, decoder.usage) == (True, "tool_calls", Usage(3, 2, 5))


def test_all_chunks_of_a_stream_have_one_head(attempt_of: AttemptOf) -> None:
    """Id, time and model are those of the whole answer."""
    heads = {
        tuple(chunk.document[name] for name in ("id", "object", "created", "model"))
        for chunk in decoded(OllamaDecoder(attempt_of(), with_usage=True), [STREAM])
    }

    assert heads == {("chatcmpl-la-1", "chat.completion.chunk", 1_700_000_000, "m")}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size_give_the_same_chunks(attempt_of: AttemptOf, size: int) -> None:
    """Also in the middle of a character."""
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert decoded(OllamaDecoder(attempt_of()), pieces) == decoded(OllamaDecoder(attempt_of()), [STREAM])


def test_a_cut_at_any_place_gives_the_same_chunks(attempt_of: AttemptOf) -> None:
    """In two pieces, with either line end, and without the last newline."""
    whole = decoded(OllamaDecoder(attempt_of()), [STREAM])
    for stream in (STREAM, STREAM.replace(b"\n", b"\r\n"), STREAM.removesuffix(b"\n")):
        for place in range(len(stream) + 1):
            assert decoded(OllamaDecoder(attempt_of()), [stream[:place], stream[place:]]) == whole, place


def test_an_end_at_any_place_is_noticed(attempt_of: AttemptOf) -> None:
    """Every chunk of a whole line was handed out; nothing passes for the end but the last line."""
    whole = decoded(OllamaDecoder(attempt_of()), [STREAM])
    for place in range(len(STREAM) - 1):
        decoder = OllamaDecoder(attempt_of())
        chunks = decoder.feed(STREAM[:place])
        with pytest.raises(StreamInterrupted) as cut:
            decoder.end()
        chunks += decoder.rest

        assert chunks == whole[: len(chunks)]
        assert not decoder.done
        assert (cut.value.advice, cut.value.phase) == (UpstreamProtocol.default_advice, "read")


texts = st.lists(st.text(min_size=1), min_size=1, max_size=4)


@given(texts, texts | st.just([]), st.lists(st.text(min_size=1), max_size=3), st.sampled_from(["stop", "length"]))
def test_a_joined_stream_is_the_answer_that_comes_whole(
    attempt_of: AttemptOf, pieces: list[str], thoughts: list[str], names: list[str], reason: str
) -> None:
    """The same document, to the last field, whichever way it came."""
    calls = [{"function": {"name": name, "arguments": {"n": name}}} for name in names]
    message = {"content": "".join(pieces), "thinking": "".join(thoughts), "tool_calls": calls}
    stream = [
        *(line({"content": "", "thinking": thought}) for thought in thoughts),
        *(line({"content": piece}) for piece in pieces),
        *(line({"content": "", "tool_calls": [call]}) for call in calls),
        last(done_reason=reason),
    ]
    chunks = decoded(OllamaDecoder(attempt_of(), with_usage=True), [ndjson(stream)])
    whole = chat_response(msgspec.json.encode(last(message, done_reason=reason)), attempt_of())

    assert join_events([chunk.data for chunk in chunks]) == whole.document


def test_an_answer_in_one_piece_is_a_stream(attempt_of: AttemptOf) -> None:
    """Some servers do not stream what was asked for as a stream; with or without a line end."""
    message = {"role": "assistant", "content": "Hello", "thinking": "Hm"}
    for raw in (msgspec.json.encode(last(message)), ndjson([last(message)])):
        chunks = decoded(OllamaDecoder(attempt_of()), [raw])

        assert [choice(chunk)["delta"] for chunk in chunks] == [
            {"role": "assistant", "content": "Hello", "reasoning_content": "Hm"},
            {},
        ]
        assert choice(chunks[-1])["finish_reason"] == "stop"


def test_every_chunk_is_meaningful(attempt_of: AttemptOf) -> None:
    """Of lines without content none is made, so the first chunk may commit the stream."""
    decoder = OllamaDecoder(attempt_of())

    assert decoder.feed(ndjson([line(), line({"role": "assistant"}), line({"content": "", "thinking": ""}), {}])) == []
    assert decoder.feed(b"\n \r\n") == []
    (chunk,) = decoder.feed(ndjson([line({"content": "a"})]))
    assert decoder.meaningful(chunk)


def test_nothing_behind_the_last_line_is_read(attempt_of: AttemptOf) -> None:
    """The stream is over, whatever follows."""
    decoder = OllamaDecoder(attempt_of())
    chunks = decoder.feed(STREAM + b'{"error":"too late"}\nnonsense\n')

    assert decoder.done
    assert choice(chunks[-1])["finish_reason"] == "tool_calls"
    assert decoder.end() == []


def test_an_error_line_is_translated(attempt_of: AttemptOf) -> None:
    """What came before it in the same bytes is left in ``rest``; so with ``done`` in the same line."""
    for failure in (
        {"error": "llama runner process has terminated"},
        last(error="llama runner process has terminated"),
    ):
        decoder = OllamaDecoder(attempt_of())
        with pytest.raises(UpstreamServerError):
            decoder.feed(ndjson([line({"content": "a"}), failure]))

        assert [chunk.text for chunk in decoder.rest] == ["a"]
        assert not decoder.done


@pytest.mark.parametrize("bad", [b"{]", b"nonsense", b"[]", b"5", b'{"message":5}', b'{"message":{"content":5}}'])
def test_a_line_that_is_not_the_protocol_ends_the_stream(attempt_of: AttemptOf, bad: bytes) -> None:
    """Content may be lost in it, so it is not passed over."""
    decoder = OllamaDecoder(attempt_of())
    with pytest.raises(UpstreamProtocol):
        decoder.feed(ndjson([line({"content": "a"})]) + bad + b"\n" + ndjson([last()]))

    assert [chunk.text for chunk in decoder.rest] == ["a"]


def test_a_web_page_is_no_stream(attempt_of: AttemptOf) -> None:
    """It comes without line ends, too; what a login page says is not billed."""
    decoder = OllamaDecoder(attempt_of())
    decoder.feed(b"<html><body>Log in")
    with pytest.raises(UpstreamProtocol, match="web page") as refused:
        decoder.end()

    assert refused.value.billed == "no"


def test_a_byte_that_is_no_text_is_replaced(attempt_of: AttemptOf) -> None:
    """The stream goes on."""
    stream = ndjson([line({"content": "X"}), last()]).replace(b"X", b"a\xffb")

    assert decoded(OllamaDecoder(attempt_of()), [stream])[0].text == "a\ufffdb"


def test_a_line_that_is_too_long_is_refused(attempt_of: AttemptOf) -> None:
    """Whether its end came or not."""
    for end in (b"", b"\n"):
        decoder = OllamaDecoder(attempt_of(), max_line=1000)
        with pytest.raises(ResponseTooLarge):
            decoder.feed(b'{"message":{"content":"' + b"a" * 1000 + end)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_a_stream_that_only_loaded_is_empty(attempt_of: AttemptOf, reason: str) -> None:
    """It says nothing about the question; after content the reason is like any other."""
    with pytest.raises(EmptyResponse):
        OllamaDecoder(attempt_of()).feed(ndjson([line(), last(done_reason=reason)]))

    decoder = OllamaDecoder(attempt_of())
    decoder.feed(ndjson([line({"content": "a"}), last(done_reason=reason)]))
    assert decoder.done


def test_log_probabilities_travel_with_their_text(attempt_of: AttemptOf) -> None:
    """Also those of tokens that print nothing."""
    stream = [
        line({"content": "Hi"}, logprobs=[{"token": "Hi", "logprob": -0.5}]),
        line({"content": ""}, logprobs=[{"token": "", "logprob": -0.25}]),
        last(),
    ]
    joined = join_events([chunk.data for chunk in decoded(OllamaDecoder(attempt_of()), [ndjson(stream)])])

    assert [token["logprob"] for token in joined["choices"][0]["logprobs"]["content"]] == [-0.5, -0.25]


def test_a_completion_streams_text(attempt_of: AttemptOf) -> None:
    """``/api/generate`` has ``response`` in place of a message."""
    stream = [
        {"model": "m", "response": " upon"},
        {"response": ""},
        {"response": " a time"},
        {**last(), "response": ""},
    ]
    chunks = decoded(OllamaDecoder(attempt_of("complete"), chat=False), [ndjson(stream)])

    assert [chunk.text for chunk in chunks] == [" upon", " a time", ""]
    assert [choice(chunk)["text"] for chunk in chunks] == [" upon", " a time", ""]
    assert [choice(chunk)["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    for chunk in chunks:
        assert chunk.document["object"] == "text_completion"
    Completion.model_validate(chunks[-1].document)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_no_bytes_raise_anything_but_our_errors(attempt_of: AttemptOf, data: bytes, place: int) -> None:
    """Whatever comes over the wire."""
    decoder = OllamaDecoder(attempt_of())
    try:
        decoded(decoder, [data[:place], data[place:]])
    except LocalAgentError:
        assert not decoder.done


def test_a_models_name_that_every_chunk_repeats_is_bounded(attempt_of: AttemptOf) -> None:
    decoder = OllamaDecoder(attempt_of())
    lines = [line({"content": "a"}, model="m" * 1_000_000), *[line({"content": "a"}, model="")] * 1000]
    chunks = decoder.feed(b"".join(msgspec.json.encode(one) + b"\n" for one in lines))
    assert len(chunks) == 1001
    assert sum(len(chunk.data) for chunk in chunks) < 1_000_000


@pytest.mark.parametrize("field", ["error", "message", "more"])
def test_too_many_values_are_refused_before_they_are_decoded(attempt_of: AttemptOf, field: str) -> None:
    many = b'{"' + field.encode() + b'": [' + b"[]," * 2_000_000 + b'[]], "done": true}'
    decoder = OllamaDecoder(attempt_of())
    assert decoder.feed(many) == []
    with pytest.raises(ResponseTooLarge):
        decoder.feed(b"\n")
    with pytest.raises(ResponseTooLarge):
        chat_response(many, attempt_of())
