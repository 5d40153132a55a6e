"""A streamed answer and the same answer whole: joined, split, and joined again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.errors import UpstreamProtocol
from localagent.wire.joining import Joiner, join_events, split_document

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "tiny"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ARGUMENTS = '{"city": "K\\u00f6ln \\"Süd\\"", "days": 2}'


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def chunk(*choices: Any, **fields: Any) -> bytes:
    """One event of a chat's stream."""
    return encode({**HEAD, "choices": list(choices), **fields})


def said(index: int = 0, finish_reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """One choice of an event, with this delta."""
    return {"index": index, "delta": delta, "finish_reason": finish_reason}


def called(*pieces: dict[str, Any]) -> bytes:
    """An event with pieces of tool calls."""
    return chunk(said(tool_calls=list(pieces)))


def piece(name: str | None = None, arguments: str | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of a tool call; what is None is left out."""
    function = {"name": name, "arguments": arguments}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


def message(*events: bytes) -> dict[str, Any]:
    """The first choice's message of the answer that the events make."""
    found: dict[str, Any] = join_events(events)["choices"][0]["message"]
    return found


def calls(*events: bytes) -> list[tuple[Any, Any, Any]]:
    """Id, name and arguments of every tool call that the events make."""
    found = message(*events)["tool_calls"]
    return [(call.get("id"), call["function"].get("name"), call["function"].get("arguments")) for call in found]


# Joining the whole document


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


# Joining the head


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


# Joining choices


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


# Joining messages


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


# Joining tool calls


@pytest.mark.parametrize("cut", range(1, len(ARGUMENTS)))
def test_arguments_cut_anywhere_are_whole_again(cut: int) -> None:
    """Also in the middle of an escape."""
    begun = called(piece("weather", ARGUMENTS[:cut], index=0, id="call_1", type="function"))
    found = message(begun, called(piece(None, ARGUMENTS[cut:], index=0)))["tool_calls"]
    assert found == [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}]
    assert json.loads(found[0]["function"]["arguments"])["city"] == 'Köln "Süd"'


def test_tool_calls_are_ordered_by_index_however_they_come() -> None:
    """Interleaved, backwards, several in one event."""
    events = [
        called(piece("b", "", index=1, id="2", type="function")),
        called(piece("a", "{", index=0, id="1", type="function"), piece(None, "[", index=1)),
        called(piece(None, "]", index=1), piece(None, "}", index=0)),
    ]
    assert calls(*events) == [("1", "a", "{}"), ("2", "b", "[]")]


def test_an_index_that_is_used_for_several_calls_keeps_them_apart() -> None:
    """A named piece with another id is another call; pieces without an id belong to the one spoken of last."""
    events = [
        called(piece("a", "{", index=0, id="1")),
        called(piece(None, "}", index=0)),
        called(piece("a", "[", index=0, id="2")),
        called(piece(None, "]", index=0)),
        called(piece(None, " ", index=0, id="1")),
        called(piece(None, " ", index=0)),
    ]
    assert calls(*events) == [("1", "a", "{}  "), ("2", "a", "[]")]


@pytest.mark.parametrize("lost", [{}, {"index": None}, {"index": "1"}])
def test_calls_without_an_index_are_told_apart_by_id_or_place(lost: dict[str, Any]) -> None:
    """One call an event, or all of them in one."""
    one_by_one = [called(piece("a", "{}", id="1", **lost)), called(piece("b", "[]", id="2", **lost))]
    at_once = [called(piece("a", "{}", **lost), piece("b", "[]", **lost))]
    assert calls(*one_by_one) == [("1", "a", "{}"), ("2", "b", "[]")]
    assert calls(*at_once) == [(None, "a", "{}"), (None, "b", "[]")]


def test_pieces_without_an_index_find_their_call_by_its_id() -> None:
    """Wherever in an event they stand."""
    events = [
        called(piece("a", "{", id="1"), piece("b", "[", id="2")),
        called(piece(None, "]", id="2"), piece(None, "}", id="1")),
        called(piece(None, " ", id="2")),
    ]
    assert calls(*events) == [("1", "a", "{}"), ("2", "b", "[] ")]


def test_an_index_counts_more_than_an_id() -> None:
    """A server that gives all calls one id keeps them apart by their indexes."""
    events = [called(piece(name, "{}", index=index, id="call")) for index, name in enumerate("aab")]
    assert calls(*events) == [("call", "a", "{}"), ("call", "a", "{}"), ("call", "b", "{}")]


def test_calls_with_one_index_and_no_id_are_told_apart_by_name() -> None:
    """Another name after arguments have begun is another call."""
    events = [called(piece("a", "{}", index=0, id="")), called(piece("b", "[]", index=0, id=""))]
    assert calls(*events) == [("", "a", "{}"), ("", "b", "[]")]


@pytest.mark.parametrize("id", ["call_1", "", None])
def test_what_servers_repeat_with_every_piece_is_said_once(id: str | None) -> None:
    """Id, type and the whole name."""
    pieces = [piece("weather", text, index=0, id=id, type="function") for text in ("{", "}")]
    found = message(*map(called, pieces))["tool_calls"]
    assert found == [{"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}]


@pytest.mark.parametrize("id", ["call_1", "", None])
def test_a_name_that_comes_in_pieces_is_concatenated(id: str | None) -> None:
    """Also when an empty one came first; empty names behind it change nothing."""
    names = ["", "get_", "weather", "", None]
    events = [called({"index": 0, "id": id, "function": {"name": name}}) for name in names]
    assert calls(*events) == [(id, "get_weather", None)]


def test_an_id_that_comes_late_or_changes_without_a_name_opens_no_call() -> None:
    """The first that is not empty stays."""
    ids = [None, "", "1", "2"]
    events = [called({"index": 0, "id": id, "function": {"arguments": "x"}}) for id in ids]
    assert calls(*events) == [("1", None, "xxxx")]


def test_unknown_fields_of_tool_calls_live_on() -> None:
    """By the rule of deltas."""
    events = [called({"index": 0, "extra": {"signature": "a"}}), called({"index": 0, "extra": {"signature": "b"}})]
    assert message(*events)["tool_calls"] == [{"extra": {"signature": "ab"}}]


def test_an_empty_list_of_tool_calls_stays_one() -> None:
    """And null stays null; neither appears where none came."""
    assert message(chunk(said(tool_calls=[])))["tool_calls"] == []
    assert message(chunk(said(tool_calls=None)))["tool_calls"] is None
    assert "tool_calls" not in message(chunk(said(content="x")))


# Joining what is no answer


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
        Joiner().add(data)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_broken_event_changes_nothing() -> None:
    """Whoever skips it gets what the others make."""
    joiner = Joiner()
    joiner.add(chunk(said(content="a")))
    with pytest.raises(UpstreamProtocol):
        joiner.add(b'{"choices": [')
    joiner.add(chunk(said(content="b")))
    assert joiner.document() == join_events([chunk(said(content="a")), chunk(said(content="b"))])
    assert joiner.size == 2 * len(chunk(said(content="a")))


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


# Joining the joiner


def test_size_counts_the_bytes_of_the_events() -> None:
    """So that the caller can stop in time."""
    joiner, events = Joiner(), [chunk(said(content="ä")), encode({})]
    assert joiner.size == 0
    for event in events:
        joiner.add(event)
    assert joiner.size == sum(map(len, events))


def test_a_document_is_the_callers_own() -> None:
    """It neither changes with later events nor changes what they make."""
    events = [chunk({**said(content="a", parts=[["x"]]), "logprobs": {"content": [{"token": "a"}]}}, extra={"a": [1]})]
    joiner = Joiner()
    joiner.add(events[0])
    early = joiner.document()
    early["extra"]["a"].clear()
    early["choices"][0]["message"]["parts"][0].clear()
    early["choices"][0]["logprobs"]["content"][0].clear()
    assert joiner.document() == join_events(events)
    joiner.add(events[0])
    assert early["choices"][0]["message"]["content"] == "a"
    assert joiner.document() == join_events(events * 2)


# Splitting


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


# Both ways, for any answer

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


# What the official client makes of it


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """The official client, before a server that answers every request with this document, split."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    events: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"".join(b"data: %b\n\n" % event for event in [*events, b"[DONE]"]))

        def log_message(self, *_: Any) -> None:
            pass

    def serve(document: dict[str, Any]) -> Any:
        events[:] = split_document(document)
        return client

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        base_url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=10) as client:
                yield serve
        finally:
            server.shutdown()
            thread.join()


def test_the_official_client_joins_split_events_to_the_same_answer(reader: Callable[[dict[str, Any]], Any]) -> None:
    """Its own accumulator ends with every choice's text, calls, reasoning and end, and with the usage."""
    from openai.lib.streaming.chat import ChatCompletionStreamState

    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    first = {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "2"}], "reasoning": "hm"}
    second = {"role": "assistant", "content": "Hello", "refusal": None}
    choices = [
        {"index": 0, "message": first, "logprobs": None, "finish_reason": "tool_calls"},
        {"index": 1, "message": second, "logprobs": None, "finish_reason": "stop"},
    ]
    client = reader({**HEAD, "object": "chat.completion", "choices": choices, "usage": USAGE})
    state = ChatCompletionStreamState()
    with client.chat.completions.create(model="m", messages=[], n=2, stream=True) as stream:
        for event in stream:
            list(state.handle_chunk(event))
    theirs = state.get_final_completion()
    assert (theirs.object, theirs.usage.model_dump(exclude_none=True)) == ("chat.completion", USAGE)
    assert [choice.finish_reason for choice in theirs.choices] == ["tool_calls", "stop"]
    assert theirs.choices[1].message.content == "Hello"
    assert theirs.choices[0].message.model_extra["reasoning"] == "hm"
    found = [(tool.id, tool.function.name, tool.function.arguments) for tool in theirs.choices[0].message.tool_calls]
    assert found == [("1", "f", "{}"), ("2", "f", "{}")]


def test_the_official_client_reads_the_pieces_of_a_text_completion(reader: Callable[[dict[str, Any]], Any]) -> None:
    """Text, end and usage come, each once."""
    choice = {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop"}
    document = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    with reader({**document, "usage": USAGE}).completions.create(model="m", prompt="x", stream=True) as stream:
        pieces = list(stream)
    found = [(choice.text, choice.finish_reason) for piece in pieces for choice in piece.choices]
    assert found == [("ab", None), ("", "stop")]
    assert [piece.usage is not None for piece in pieces] == [False, False, True]
