"""A streamed answer is joined to the same answer whole; its tool calls have a module of their own."""

from __future__ import annotations

from typing import Any

import pytest
from chat_events import ARGUMENTS, HEAD, USAGE, chunk, encode, message, said

from localagent.errors import UpstreamProtocol
from localagent.schema.joining import join_events, split_document

# The whole document


def test_a_plain_stream_becomes_the_answer_that_was_not_streamed() -> None:
    """Role, text, finish reason and usage stand where a whole answer has them."""
    events = [
        chunk(said(role="assistant", content="")),
        chunk(said(content="Hel")),
        chunk(said(content="lo")),
        chunk(said(finish_reason="stop")),
        chunk(usage=USAGE),
    ]
    assert join_events(events) == {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def test_a_streamed_text_completion_becomes_a_whole_one() -> None:
    """Texts are concatenated per choice, the four lists of the old log probabilities extended."""

    def event(text: str, *, finish_reason: str | None = None, **choice: Any) -> bytes:
        choice = {"index": 0, "text": text, "finish_reason": finish_reason, **choice}
        return encode({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]})

    first = {"tokens": ["a"], "token_logprobs": [-0.5], "text_offset": [0], "top_logprobs": [{"a": -0.5}]}
    second = {"tokens": ["b"], "token_logprobs": [-1.5], "text_offset": [1], "top_logprobs": [{"b": -1.5}]}
    events = [event("a", logprobs=first), event("b", logprobs=second), event("", finish_reason="length", logprobs=None)]
    choice = {
        "index": 0,
        "text": "ab",
        "finish_reason": "length",
        "logprobs": {name: [*first[name], *second[name]] for name in first},
    }
    expected = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    assert join_events(events) == expected


@pytest.mark.parametrize(
    ("kind", "choice", "expected"),
    [
        ("chat.completion.chunk", {"delta": {"content": "x"}}, "chat.completion"),
        ("chat.completion.chunk", {"delta": {"content": "x"}, "text": "x"}, "chat.completion"),
        ("text_completion", {"text": "x"}, "text_completion"),
        ("completion.chunk", {"text": "x"}, "text_completion"),
        ("completion.chunk", {"delta": {"content": "x"}}, "chat.completion"),
        (None, {"delta": {"content": "x"}}, "chat.completion"),
        (None, {"text": "x"}, "text_completion"),
        ("", {}, "chat.completion"),
    ],
)
def test_object_says_chat_or_text(kind: str | None, choice: dict[str, Any], expected: str) -> None:
    """By the events' own object; where that says nothing, by what the choices hold."""
    assert join_events([encode({"object": kind, "choices": [{"index": 0, **choice}]})])["object"] == expected


def test_no_events_make_an_answer_without_choices() -> None:
    """Nothing is invented: neither a choice nor an id."""
    assert join_events([]) == {"object": "chat.completion", "choices": []}


@pytest.mark.parametrize("last", [{}, {"delta": {}}, {"delta": None}])
def test_a_whole_message_is_kept_behind_which_nothing_comes(last: dict[str, Any]) -> None:
    """An empty delta is not a message."""
    events = [
        encode({"choices": [choice]}) for choice in ({"message": {"content": "x"}}, {"finish_reason": "stop", **last})
    ]
    assert join_events(events)["choices"][0]["message"] == {"content": "x"}


def test_an_event_that_holds_the_whole_message_is_taken_as_it_is() -> None:
    """Some servers answer a streamed request with one event that is no piece at all."""
    whole = {"role": "assistant", "content": "Hello", "reasoning": "hm"}
    choice = {"index": 0, "message": whole, "finish_reason": "stop"}
    document = {**HEAD, "object": "chat.completion", "choices": [choice]}
    assert join_events([encode(document)]) == document


def test_deltas_win_over_a_message_that_grows_beside_them() -> None:
    """A server that sends the message so far with every delta does not double the text."""
    events = [
        chunk({**said(content="Hel"), "message": {"role": "assistant", "content": "Hel"}}),
        chunk({**said(content="l"), "message": {"role": "assistant", "content": "Hell"}}),
        chunk(said(content="o")),
    ]
    assert message(*events) == {"role": "assistant", "content": "Hello"}


# The head


def test_id_created_and_model_come_from_the_first_event_that_has_them() -> None:
    """Null and empty ones, which Azure sends first, do not count; later ones change nothing."""
    empty = {"id": "", "created": 0, "model": "", "object": ""}
    events = [chunk(**empty), chunk(said(content="x"), model=None), chunk(), chunk(id="b", created=2, model="other")]
    document = join_events(events)
    assert {name: document[name] for name in HEAD} == {**HEAD, "object": "chat.completion"}


def test_usage_is_the_last_that_is_not_null_and_never_a_sum() -> None:
    """Servers that send usage with every event cumulate it."""
    counts = [{"completion_tokens": count, "details": {"reasoning_tokens": count}} for count in (1, 2, 3)]
    events = [chunk(said(content="x"), usage=usage) for usage in (None, *counts, None)]
    assert join_events(events)["usage"] == counts[-1]


def test_unknown_fields_of_events_live_on() -> None:
    """The last value that is not null stays, whatever its type; a field that was only null is null."""
    events = [
        chunk(system_fingerprint="fp_1", timings={"first": 1}, citations=["a"], tier=None),
        chunk(system_fingerprint="fp_2", timings={"second": 2}, citations=["a", "b"], tier=None),
        chunk(system_fingerprint=None, timings=None, citations=None, tier=None),
    ]
    document = join_events(events)
    kept = {name: document[name] for name in ("system_fingerprint", "timings", "citations", "tier")}
    assert kept == {"system_fingerprint": "fp_2", "timings": {"second": 2}, "citations": ["a", "b"], "tier": None}


# Choices


def test_interleaved_choices_are_kept_apart_and_put_in_order() -> None:
    """Each has its own text and finish reason, whichever event brought them."""
    events = [
        chunk(said(1, content="b")),
        chunk(said(0, content="a"), said(1, content="B")),
        chunk(said(1, finish_reason="length")),
        chunk(said(0, content="A", finish_reason="stop")),
    ]
    choices = join_events(events)["choices"]
    found = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in choices]
    assert found == [(0, "aA", "stop"), (1, "bB", "length")]


@pytest.mark.parametrize("lost", [{}, {"index": None}, {"index": "0"}, {"index": True}, {"index": 0.5}])
def test_a_choice_without_an_index_has_that_of_its_place(lost: dict[str, Any]) -> None:
    """Missing, null, or no integer: the place in the event decides."""
    first, second = {**lost, "delta": {"content": "a"}}, {**lost, "delta": {"content": "b"}}
    choices = join_events([chunk(first, second), chunk(first, second)])["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "aa"), (1, "bb")]


def test_an_index_given_twice_in_one_event_is_one_choice() -> None:
    """Its pieces follow each other in the event's order."""
    document = join_events([chunk(said(4, content="a"), said(4, content="b"))])
    assert [(choice["index"], choice["message"]["content"]) for choice in document["choices"]] == [(4, "ab")]


@pytest.mark.parametrize(
    "empty",
    [
        chunk(),
        encode({**HEAD, "choices": None}),
        encode(HEAD),
        encode({}),
        chunk({"index": 0}),
        chunk({"index": 0, "delta": None}),
        chunk(said()),
        chunk(said(role="assistant")),
        chunk(said(role="")),
        chunk(said(role=None, content=None, tool_calls=None, refusal=None)),
        chunk(said(content="")),
    ],
)
def test_an_event_without_content_changes_no_content(empty: bytes) -> None:
    """In front of the text, within it and behind it."""
    events = [empty, chunk(said(content="a")), empty, chunk(said(content="b", finish_reason="stop")), empty]
    found = message(*events)
    assert (found["role"], found["content"]) == ("assistant", "ab")


def test_a_finish_reason_outlives_the_nulls_behind_it() -> None:
    """The last that is not null wins; without any it is null."""
    assert join_events([chunk(said(finish_reason="stop")), chunk(said())])["choices"][0]["finish_reason"] == "stop"
    late = [chunk(said(finish_reason="length")), chunk(said(finish_reason="stop"))]
    assert join_events(late)["choices"][0]["finish_reason"] == "stop"
    for choice in (said(content="x"), {"index": 0, "delta": {"content": "x"}}):
        assert join_events([chunk(choice)])["choices"][0]["finish_reason"] is None


def test_log_probabilities_are_extended() -> None:
    """Content and refusal each by themselves; null neither begins nor ends a list."""
    tokens = [{"token": token, "logprob": -0.1, "bytes": [97], "top_logprobs": []} for token in "abc"]
    values = [None, {"content": tokens[:1], "refusal": None}, {"content": tokens[1:], "refusal": tokens[:1]}, None]
    events = [chunk({**said(content="x"), "logprobs": value}) for value in values]
    assert join_events(events)["choices"][0]["logprobs"] == {"content": tokens, "refusal": tokens[:1]}


def test_unknown_fields_of_choices_live_on() -> None:
    """Lists are extended and objects joined; a string is a state here, and is not concatenated."""
    events = [
        chunk({**said(content="a"), "token_ids": [1, 2], "filter": {}, "stop_reason": None, "native": "go"}),
        chunk({**said(content="b"), "token_ids": [3], "filter": {"hate": {"severity": "safe"}}, "native": "go"}),
        chunk({**said(content="c"), "token_ids": [], "filter": {"hate": {"severity": "safe", "score": 0}}}),
    ]
    choice = join_events(events)["choices"][0]
    assert {name: choice[name] for name in ("token_ids", "filter", "stop_reason", "native")} == {
        "token_ids": [1, 2, 3],
        "filter": {"hate": {"severity": "safe", "score": 0}},
        "stop_reason": None,
        "native": "go",
    }


# Messages


@pytest.mark.parametrize("field", ["content", "refusal", "reasoning_content", "reasoning", "a_field_of_next_year"])
def test_every_string_of_a_delta_is_concatenated(field: str) -> None:
    """Also those that nobody knows yet."""
    assert message(*(chunk(said(**{field: text})) for text in ("a", "", "b", "c")))[field] == "abc"


def test_unknown_fields_of_deltas_live_on() -> None:
    """Lists are extended, objects joined by the same rule, of numbers and truth values the last stays."""
    events = [
        chunk(said(audio={"id": "audio_1", "data": "UklG", "transcript": "Hel"}, details=[{"text": "a"}], count=1)),
        chunk(said(audio={"data": "Rg==", "transcript": "lo", "expires_at": 9}, details=[{"text": "b"}], count=2)),
        chunk(said(audio={"id": "audio_1", "data": None}, details=None, count=None, flag=False)),
    ]
    assert message(*events) == {
        "role": "assistant",
        "content": None,
        "audio": {"id": "audio_1", "data": "UklGRg==", "transcript": "Hello", "expires_at": 9},
        "details": [{"text": "a"}, {"text": "b"}],
        "count": 2,
        "flag": False,
    }


def test_a_role_that_comes_with_every_delta_is_said_once() -> None:
    """The first that is not empty stays; without any the assistant speaks."""
    assert message(*(chunk(said(role=role)) for role in ("", "tool", "tool", "assistant")))["role"] == "tool"
    assert message(chunk(said(role=None)))["role"] == "assistant"


def test_a_field_that_changes_its_type_keeps_the_last_value() -> None:
    """Number, object, string: nothing raises, nothing is mixed."""
    assert message(*(chunk(said(odd=value)) for value in (1, {"a": 1}, True, "x", 2)))["odd"] == 2
    assert message(*(chunk(said(odd=value)) for value in (1, "x", "y")))["odd"] == "xy"


def test_content_that_changes_between_parts_and_strings_loses_neither() -> None:
    """Thinking that comes as parts and text that comes as strings are one list, as in the whole answer."""
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    events = [chunk(said(content=content)) for content in ("", thinking, "Hel", "lo", thinking, "")]
    assert message(*events)["content"] == [*thinking, {"type": "text", "text": "Hello"}, *thinking]
    events = [chunk(said(content=content)) for content in ("a", "b", thinking)]
    assert message(*events)["content"] == [{"type": "text", "text": "ab"}, *thinking]


def test_a_legacy_function_call_is_assembled() -> None:
    """One name, and arguments concatenated."""
    events = [
        chunk(said(role="assistant", content=None, function_call={"name": "weather", "arguments": ""})),
        chunk(said(function_call={"arguments": ARGUMENTS[:9]})),
        chunk(said(function_call={"arguments": ARGUMENTS[9:]})),
        chunk(said(finish_reason="function_call")),
    ]
    assert message(*events)["function_call"] == {"name": "weather", "arguments": ARGUMENTS}


# Not an answer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[DONE]",
        b'{"choices": [',
        b'{"id": "SECRET"} SECRET',
        b'{"a": SECRET}',
        b'{"SECRET": "\\ud83d"}',
        b"[" * 100_000,
        b"[]",
        b"null",
        b'"SECRET"',
        b'{"choices": {"SECRET": 1}}',
        b'{"choices": ["SECRET"]}',
        b'{"choices": [null]}',
        b'{"choices": [{"delta": "SECRET"}]}',
        b'{"choices": [{"delta": {"tool_calls": {"SECRET": 1}}}]}',
        b'{"choices": [{"delta": {"tool_calls": ["SECRET"]}}]}',
    ],
)
def test_what_is_no_event_is_refused_without_a_word_of_it(data: bytes) -> None:
    """A typed error whose message and causes hold no content."""
    with pytest.raises(UpstreamProtocol) as caught:
        join_events([data])
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    """One bad byte does not cost the answer."""
    assert message(chunk(said(content="a?b")).replace(b"?", b"\xff"))["content"] == "a\ufffdb"


def test_nesting_that_no_one_could_read_is_refused() -> None:
    """Joining it with itself, copying it and encoding it end in the typed error, not in a broken stack."""
    deep: Any = {"choices": []}
    for _ in range(400):
        deep = {"a": deep}
    event = chunk(said(deep=deep))
    with pytest.raises(UpstreamProtocol):
        join_events([event, event])
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(UpstreamProtocol):
        split_document({"choices": [], "deep": deep})
