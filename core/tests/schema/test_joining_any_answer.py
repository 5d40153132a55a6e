"""Joining and splitting undo each other, for any answer and any pieces."""

from __future__ import annotations

from typing import Any

from chat_events import USAGE, called, chunk, encode, piece, said
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.schema.joining import join_events, split_document

# The same examples in every run, however busy the machine is.
repeatable = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
)  # fmt: skip
TEXT_OR_NULL = st.none() | st.text()


def objects(known: dict[str, Any], optional: dict[str, Any], without: tuple[str, ...] = ()) -> Any:
    """Objects with these fields, perhaps some of these, and perhaps some that nobody knows."""
    taken = {*known, *optional, *without}
    names = st.text(max_size=8).filter(lambda name: name not in taken)
    unknown = st.dictionaries(names, JSON, max_size=2)
    return st.tuples(st.fixed_dictionaries(known, optional=optional), unknown).map(lambda pair: {**pair[1], **pair[0]})


FUNCTIONS = objects({}, {"name": TEXT_OR_NULL, "arguments": TEXT_OR_NULL})
TOOL_CALLS = objects({}, {"id": TEXT_OR_NULL, "type": st.just("function"), "function": FUNCTIONS}, ("index",))
MESSAGES = objects(
    {"role": st.sampled_from(["assistant", "tool"]), "content": TEXT_OR_NULL | st.lists(JSON, max_size=2)},
    {
        "refusal": TEXT_OR_NULL,
        "reasoning": TEXT_OR_NULL,
        "reasoning_content": TEXT_OR_NULL,
        "function_call": st.none() | FUNCTIONS,
        "tool_calls": st.none() | st.lists(TOOL_CALLS, max_size=3),
    },
)
LOGPROBS = st.none() | st.fixed_dictionaries({"content": st.none() | st.lists(JSON, max_size=2)})
ENDED = {"finish_reason": st.none() | st.sampled_from(["stop", "length", "tool_calls"])}
HEADS = {
    "id": TEXT_OR_NULL,
    "created": st.integers(0, 2**40),
    "model": TEXT_OR_NULL,
    "usage": st.none() | st.just(USAGE),
}


def answers(kind: str, choice: dict[str, Any]) -> Any:
    """Whole answers in normal form: choices numbered in order, each with its end; messages with role and content."""
    choices = st.lists(objects({**choice, **ENDED}, {"logprobs": LOGPROBS}, ("index", "delta", "message", "text")))
    numbers = st.lists(st.integers(-3, 9), unique=True, max_size=3).map(sorted)
    numbered = st.tuples(numbers, choices).map(
        lambda pair: [{"index": index, **choice} for index, choice in zip(*pair, strict=False)]
    )
    return objects({"object": st.just(kind), "choices": numbered}, HEADS)


DOCUMENTS = answers("chat.completion", {"message": MESSAGES}) | answers("text_completion", {"text": st.text()})


@repeatable
@given(DOCUMENTS)
def test_splitting_and_joining_gives_the_document_again(document: dict[str, Any]) -> None:
    """Every document in normal form, with fields that nobody knows; it is itself left as it was."""
    before = encode(document)
    assert join_events(split_document(document)) == document
    assert encode(document) == before


@repeatable
@given(DOCUMENTS)
def test_a_document_that_came_as_one_event_is_joined_to_itself(document: dict[str, Any]) -> None:
    """A whole answer within a stream is an answer."""
    assert join_events([encode(document)]) == document


PIECES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["content", "reasoning_content", "refusal", "other"]), TEXT_OR_NULL)
)


@repeatable
@given(PIECES)
def test_joined_text_is_what_the_deltas_say_in_a_row(pieces: list[tuple[int, str, str | None]]) -> None:
    """For every field of every choice, however they are interleaved; nulls and empty strings are nothing."""
    document = join_events(chunk(said(index, **{field: text})) for index, field, text in pieces)
    expected: dict[tuple[int, str], str] = {}
    for index, field, text in pieces:
        expected[index, field] = expected.get((index, field), "") + (text or "")
    found = {choice["index"]: choice["message"] for choice in document["choices"]}
    assert {key: found[key[0]][key[1]] or "" for key in expected} == expected
    assert list(found) == sorted({index for index, _, _ in pieces})


@repeatable
@given(st.lists(st.tuples(st.integers(0, 3), st.text()), max_size=20))
def test_joined_arguments_are_what_the_pieces_say_in_a_row(pieces: list[tuple[int, str]]) -> None:
    """For every tool call, in the order of their indexes."""
    document = join_events([chunk(said()), *(called(piece(None, text, index=index)) for index, text in pieces)])
    found = [call["function"]["arguments"] for call in document["choices"][0]["message"].get("tool_calls", [])]
    indexes = sorted({index for index, _ in pieces})
    assert found == ["".join(text for at, text in pieces if at == index) for index in indexes]
