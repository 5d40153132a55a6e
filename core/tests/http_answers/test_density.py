"""JSON that would become many times its size when it is decoded is refused before."""

from __future__ import annotations

import tracemalloc

import pytest

from localagent import LocalAgentError, ResponseTooLarge
from localagent.http_answers.density import LARGE, refuse_dense
from localagent.schema.openai_wire import OpenAIDecoder, chat_response, completion_response, embed_response
from localagent_testing import FakeCore

MIB = 1024 * 1024
HEAD = b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a"}'
DENSE = {
    "lists": b"[],",
    "objects": b"{},",
    "numbers": b"1.5,",
    "texts": b'"ab",',
    "names": b'{"a":1},',
}


def dense(kind: str, size: int = 16 * MIB) -> bytes:
    return b"[" + DENSE[kind] * (size // len(DENSE[kind])) + b"0]"


@pytest.mark.parametrize(
    ("kind", "where", "streamed"),
    [*[(kind, "usage", False) for kind in DENSE], ("lists", "error", False), ("objects", "choices", False),
     ("texts", "message", False), ("lists", "usage", True), ("objects", "choices", True), ("names", "error", True)],
)  # fmt: skip
async def test_an_answer_of_too_many_values_is_refused_before_it_is_decoded(
    kind: str, where: str, streamed: bool
) -> None:
    many = dense(kind)
    body = {
        "usage": HEAD + b'}], "usage": ' + many + b"}",
        "error": b'{"error": ' + many + b"}",
        "choices": b'{"choices": ' + many + b"}",
        "message": b'{"choices": [{"message": {"content": ' + many + b"}}]}",
    }[where]
    attempt = FakeCore().attempt()
    tracemalloc.start()
    try:
        if streamed:
            decoder = OpenAIDecoder(attempt)
            decoder.feed(body)
            with pytest.raises(ResponseTooLarge):
                decoder.end()
        else:
            with pytest.raises(ResponseTooLarge):
                chat_response(body, attempt)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(body)


async def test_an_event_of_too_many_values_is_refused_before_it_is_decoded() -> None:
    decoder = OpenAIDecoder(FakeCore().attempt())
    event = b"data: " + HEAD + b'}], "usage": ' + dense("lists", 7 * MIB) + b"}\n\n"
    last = len(event) - 64 * 1024
    for start in range(0, last, 64 * 1024):
        assert decoder.feed(event[start : min(start + 64 * 1024, last)]) == []
    with pytest.raises(ResponseTooLarge):
        decoder.feed(event[last:])


@pytest.mark.parametrize("where", ["usage", "error"])
async def test_what_an_answer_of_embeddings_says_beside_them_is_not_decoded(where: str) -> None:
    """Long lists of numbers are no sign there."""
    raw = b'{"data": [{"embedding": [1]}], "' + where.encode() + b'": ' + dense("numbers") + b"}"
    tracemalloc.start()
    try:
        if where == "usage":
            assert embed_response(raw, FakeCore().attempt()).usage is None
        else:
            with pytest.raises(LocalAgentError):
                embed_response(raw, FakeCore().attempt())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * len(raw)


async def test_embeddings_may_be_long() -> None:
    raw = b'{"data": [' + b",".join([b'{"embedding": ' + dense("numbers", MIB) + b"}"] * 16) + b'], "usage": null}'
    assert embed_response(raw, FakeCore().attempt()).raw == raw


async def test_an_answer_may_be_long() -> None:
    text = b"Well, then: [a] and {b}. " * (8 * MIB // 25)
    raw = HEAD + b'}], "more": "' + text[: 4 * MIB] + b'"}'
    attempt = FakeCore().attempt()
    assert chat_response(raw, attempt).text == "a"
    raw = b'{"choices": [{"text": "' + text[: 4 * MIB] + b'"}]}'
    assert len(completion_response(raw, attempt).text) == 4 * MIB


def test_what_is_small_is_not_counted() -> None:
    refuse_dense(b"[" * LARGE)
    with pytest.raises(ResponseTooLarge):
        refuse_dense(b"[" * (LARGE + 1))
