"""JSON that would become many times its size when it is decoded is refused before."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest

from localagent import Attempt, HttpAnswer, LocalAgentError, OpenAICompatible
from localagent.errors import ResponseTooLarge, UpstreamProtocol
from localagent.http_answers import (
    LARGE,
    OpenAIDecoder,
    chat_response,
    completion_response,
    embed_response,
    looked_through,
    refuse_dense,
)
from localagent.http_answers.density import BLOCK, MOST_COMMAS, MOST_MEMBERS
from localagent_testing import FakeCore
from localagent_testing.turns import counting_turns

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


class Watched(bytes):
    """A body that counts how often it is read."""

    slices = whole = 0

    def __getitem__(self, key: Any) -> Any:
        self.slices += 1
        return super().__getitem__(key)

    def isascii(self) -> bool:
        self.whole += 1
        return super().isascii()

    def decode(self, *arguments: Any, **named: Any) -> str:
        self.whole += 1
        return super().decode(*arguments, **named)


class Whole:
    """An answer that has come."""

    status = 200
    headers: Mapping[str, str] = {}
    ended = True

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def read(self, cap: int | None = None) -> bytes:
        return self.body

    async def read_chunk(self) -> bytes:
        raise NotImplementedError

    def abort(self) -> None: ...

    async def aclose(self) -> None: ...


class AnswersWith(OpenAICompatible):
    """A provider whose server has answered."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def _post(self, attempt: Attempt, transport: Any, path: str, **fields: Any) -> HttpAnswer:
        return Whole(self._body)


ASK = ["chat", "complete", "embed"]


def long_answer(ask: str, text: bytes) -> bytes:
    body = {
        "chat": b'{"choices": [{"message": {"content": "%b"}}]}',
        "complete": b'{"choices": [{"text": "%b"}]}',
        "embed": b'{"data": [{"embedding": "%b"}]}',
    }[ask]
    return body % text


@pytest.mark.parametrize("ask", ASK)
async def test_a_large_answer_is_looked_through_once_and_others_run_meanwhile(ask: str) -> None:
    """Block by block, with a turn of the event loop for each; then it is decoded, and no other pass is made."""
    raw = Watched(long_answer(ask, "“Hé”, it said. ".encode() * 400_000))
    blocks = -(-len(raw) // BLOCK)
    with counting_turns() as turns:
        response = await getattr(AnswersWith(raw), ask)(FakeCore().attempt(), None)
    assert response.raw is raw
    assert (raw.slices, raw.whole) == (blocks, 0)
    assert turns.count >= blocks


@pytest.mark.parametrize("ask", ASK)
async def test_a_small_answer_is_read_at_once(ask: str) -> None:
    """Nothing is waited for, and nothing is counted."""
    raw = Watched(long_answer(ask, b"Hi"))
    with pytest.raises(StopIteration) as ended:
        getattr(AnswersWith(raw), ask)(FakeCore().attempt(), None).send(None)
    assert ended.value.value.raw is raw
    assert (raw.slices, raw.whole) == (0, 1)


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("fault", ["lists", "no UTF-8", "half a character", "half a character at the end"])
async def test_a_large_answer_of_a_provider_is_refused_as_any(ask: str, fault: str) -> None:
    """For too many values, and for bytes that are no UTF-8, wherever they stand."""
    text = {
        "lists": DENSE["lists"] * (8 * MIB // 3),
        "no UTF-8": b"a" * (3 * MIB) + b"\xff",
        "half a character": b"a" * (3 * MIB) + "é".encode()[:1] + b"a" * MIB,
        "half a character at the end": b"a" * (3 * MIB),
    }[fault]
    raw = long_answer(ask, text) + ("é".encode()[:1] if fault.endswith("end") else b"")
    with pytest.raises(ResponseTooLarge if fault == "lists" else UpstreamProtocol):
        await getattr(AnswersWith(raw), ask)(FakeCore().attempt(), None)


async def test_a_character_may_stand_between_two_blocks() -> None:
    """Its bytes are looked at together."""
    for shift in range(3):
        assert await looked_through(b"a" * shift + "“".encode() * (MIB // 2))


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("more", [b"", b"{", b"[", b":", b","])
def test_the_limits_themselves_are_let_in(numbers: bool, more: bytes) -> None:
    """One value more is refused, in whichever block it stands; commas count for nothing among numbers."""
    most = b"{[:a" * (MOST_MEMBERS // 3) + b"{" * (MOST_MEMBERS % 3) + b",x" * MOST_COMMAS
    with pytest.raises(ResponseTooLarge) if more and not (numbers and more == b",") else nullcontext():
        refuse_dense(most + b"x" + more, numbers=numbers)
