"""Answers of all shapes are read into the same events; the table of answers in the gateway's tests has many more."""

from __future__ import annotations

from typing import Any

import pytest
from chat_events import called, calls, chunk, encode, piece, said

from localagent import Usage
from localagent.errors import UpstreamProtocol
from localagent.schema import (
    AnswerEvent,
    AnswerReader,
    CallBegun,
    CallPiece,
    Ended,
    Refusal,
    Text,
    Thought,
    join_events,
    read_answer,
)

HM, YES, NO = Thought("Hm."), Text("Yes."), Refusal("No.")


def read(*events: bytes) -> list[AnswerEvent]:
    """What a stream says."""
    reader = AnswerReader()
    return [event for data in events for event in reader.read(data)] + reader.end()


def spoken(**delta: Any) -> list[AnswerEvent]:
    """What a piece of a message says."""
    return AnswerReader().read(chunk(said(**delta)))


def ended(*events: bytes) -> Ended:
    """How a stream ends."""
    last = read(*events)[-1]
    assert isinstance(last, Ended)
    return last


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        ({"content": "Yes."}, [YES]),
        ({"content": ""}, []),
        ({"content": None}, []),
        ({"content": []}, []),
        ({"content": ["Yes."]}, [YES]),
        ({"content": {"type": "text", "text": "Yes."}}, [YES]),
        ({"content": [{"type": "text", "text": "Yes."}]}, [YES]),
        ({"content": [{"type": "output_text", "text": "Yes."}]}, [YES]),
        ({"content": [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "Yes."}]}, [YES]),
        ({"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]}, [HM, YES]),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}, [HM]),
        ({"content": [{"type": "thinking", "thinking": ["H", {"text": "m."}, {"text": None}, 3]}]}, [HM]),
        ({"content": [{"type": "reasoning", "text": "Hm."}]}, [HM]),
        ({"content": [{"type": "reasoning", "reasoning": "Hm."}]}, [HM]),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, [NO]),
        ({"content": [None, 3, {}, [], {"type": ["text"]}, {"text": 3}]}, []),
        ({"content": 3}, []),
        ({"reasoning_content": "Hm."}, [HM]),
        ({"reasoning": "Hm."}, [HM]),
        ({"thinking": "Hm."}, [HM]),
        ({"reasoning": "Hm.", "reasoning_content": "Hm."}, [HM]),
        ({"reasoning": {"text": "Hm."}, "content": "Yes."}, [YES]),
        ({"refusal": "No."}, [NO]),
        ({"content": "Yes.", "reasoning": "Hm.", "refusal": "No."}, [HM, YES, NO]),
    ],
)
def test_what_is_said_is_read_wherever_it_stands(delta: dict[str, Any], expected: list[AnswerEvent]) -> None:
    """Text, thoughts and refusals; what is none of them says nothing, and takes nothing else with it."""
    assert spoken(**delta) == expected
    whole = encode({"choices": [{"message": delta, "finish_reason": "stop"}]})
    assert read_answer(whole)[:-1] == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "{}"),
        ({"a": 1.50}, '{"a": 1.5}'),
        ('{"a": 1}', '{"a": 1}'),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_arguments_are_text_whatever_they_were(arguments: Any, expected: str | None) -> None:
    """An object's own text, number for number; nothing for none at all."""
    function = {"name": "f", "arguments": arguments}
    pieces = [] if expected is None else [CallPiece(0, expected)]
    assert read(called({"index": 0, "id": "1", "function": function}))[:-1] == [CallBegun(0, "1", "f"), *pieces]


def test_arguments_that_do_not_come_are_none() -> None:
    """The call begins at the end, because more of its name could have come."""
    reader = AnswerReader()
    assert reader.read(called(piece("f", index=0, id="1"))) == []
    assert reader.end() == [CallBegun(0, "1", "f"), Ended("tool_calls")]


def test_the_old_function_call_is_a_call() -> None:
    """Streamed in pieces, as tool calls are."""
    pieces = [chunk(said(function_call=part)) for part in ({"name": "f", "arguments": ""}, {"arguments": "{}"})]
    assert read(*pieces) == [CallBegun(0, "", "f"), CallPiece(0, "{}"), Ended("tool_calls")]


def test_a_call_begins_when_its_whole_name_is_known() -> None:
    """Late, or in pieces; arguments that came before it follow it."""
    late = [called(piece(None, "{", index=0, id="1")), called(piece("f", "}", index=0))]
    parts = [called(piece("get_", "", index=0)), called(piece("it", "", index=0)), called(piece(None, "{}", index=0))]
    assert read(*late)[:-1] == [CallBegun(0, "1", "f"), CallPiece(0, "{}")]
    assert read(*parts)[:-1] == [CallBegun(0, "", "get_it"), CallPiece(0, "{}")]


def test_calls_begin_in_the_order_in_which_they_came() -> None:
    """One without arguments before the next one; one that is named late holds up those behind it."""
    no_arguments = [called(piece("f", index=0)), called(piece("g", "{}", index=1))]
    named_late = [called(piece(None, "{}", index=0)), called(piece("g", "[", index=1)), called(piece("f", index=0))]
    assert read(*no_arguments)[:-1] == [CallBegun(0, "", "f"), CallBegun(1, "", "g"), CallPiece(1, "{}")]
    assert read(*named_late)[:-1] == [
        CallBegun(0, "", "f"), CallPiece(0, "{}"), CallBegun(1, "", "g"), CallPiece(1, "["),
    ]  # fmt: skip


def test_a_call_that_is_never_named_is_said_all_the_same() -> None:
    """With an empty name; one of which nothing came is no call."""
    assert read(called(piece(None, "{}", index=0)))[:-1] == [CallBegun(0, "", ""), CallPiece(0, "{}")]
    assert read(called({"index": 0, "function": {}})) == [Ended("stop")]


@pytest.mark.parametrize(
    "events",
    [
        [called(piece("f", "{", index=0)), called(piece("g", "[", index=1), piece(None, "}", index=0))],
        [called(piece("f", "{}", index=0, id="1")), called(piece("f", "{}", index=0, id="2"))],
        [called(piece("f", "{}", index=0)), called(piece("f", '{"a":1}', index=0))],
        [called(piece("f", "{}")), called(piece("g", "{}"))],
        [called(piece("f", "{}", id="1", index=0)), called(piece("g", "{}", id="1", index=0))],
        [called(piece("f", "{}"), piece("f", "{}"))],
        [called(piece("f", "{", id="1"), piece("g", "[", id="2")), called(piece(None, "]", id="2"))],
        [called(piece(None, "", index=0, id="1")), called(piece("f", "{", index=0)), called(piece(None, "}", index=0))],
        [called(piece("f", "{", index=0)), called(piece("f", "}", index=0))],
    ],
)
def test_the_reader_and_the_joiner_tell_the_same_calls(events: list[bytes]) -> None:
    """A streamed answer and the whole one that its events make say the same calls."""
    joined = read_answer(encode(join_events(events)))
    assert tools(read(*events)) == tools(joined)
    assert [(name, arguments) for name, arguments in tools(joined)] == [
        (name, arguments or "") for _, name, arguments in calls(*events)
    ]


def tools(events: list[AnswerEvent]) -> list[tuple[str, str]]:
    """Name and arguments of every call."""
    return [
        (begun.name, "".join(e.arguments for e in events if isinstance(e, CallPiece) and e.place == begun.place))
        for begun in events
        if isinstance(begun, CallBegun)
    ]


def test_a_piece_whose_arguments_are_an_object_is_a_whole_call() -> None:
    """The next named one is another call, although neither has an id."""
    one, two = ({"index": 0, "function": {"name": "f", "arguments": {"a": number}}} for number in (1, 2))
    assert tools(read(called(one), called(two))) == [("f", '{"a": 1}'), ("f", '{"a": 2}')]
    assert [call["function"]["arguments"] for call in join_events([called(one), called(two)])["choices"][0]["message"][
        "tool_calls"
    ]] == [{"a": 1}, {"a": 2}]  # fmt: skip


@pytest.mark.parametrize(
    ("said_reason", "expected"),
    [
        ("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), (None, "stop"), ("", "stop"),
        ("eos", "stop"), ("end_turn", "stop"), ("COMPLETE", "stop"), ("MAX_TOKENS", "length"),
        ("model_length", "length"), ("tool_calls", "stop"), ("SAFETY", "content_filter"),
    ],
)  # fmt: skip
def test_the_end_has_one_of_four_reasons(said_reason: str | None, expected: str) -> None:
    """Whatever the server calls it."""
    assert ended(chunk(said(content="x", finish_reason=said_reason))).finish_reason == expected


@pytest.mark.parametrize("said_reason", ["stop", "tool_calls", "function_call", "tool_use", None])
def test_an_answer_with_calls_ends_by_them(said_reason: str | None) -> None:
    """Some servers say stop."""
    last = chunk(said(finish_reason=said_reason))
    assert ended(called(piece("f", "{}", index=0)), last).finish_reason == "tool_calls"
    assert ended(called(piece("f", "{", index=0)), chunk(said(finish_reason="length"))).finish_reason == "length"


def test_an_empty_reason_does_not_take_back_one_that_was_said() -> None:
    """Neither does null."""
    assert ended(chunk(said(finish_reason="length")), chunk(said(finish_reason=""))).finish_reason == "length"


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
        {"choices": [said(finish_reason="stop")], "usage": {"prompt_tokens": 3.0, "completion_tokens": 2}},
        {"choices": [said(finish_reason="stop")], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}},
        {"choices": [{**said(finish_reason="stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]},
    ],
)
def test_usage_is_read_wherever_it_stands(last: dict[str, Any]) -> None:
    """Behind the choices, beside them, in them, or under Groq's own name."""
    first = chunk(said(content="x"), usage={"prompt_tokens": 3, "completion_tokens": 1})
    assert ended(first, encode(last)).usage == Usage(3, 2, 5)
    assert ended(chunk(said(content="x")), encode(last)).usage == Usage(3, 2, 5)


@pytest.mark.parametrize("usage", [{}, {"cost": 0}, []])
def test_usage_that_says_nothing_takes_nothing_back(usage: Any) -> None:
    """Counts that were reported before stay."""
    first = chunk(said(content="x"), usage={"prompt_tokens": 3, "completion_tokens": 2})
    assert ended(first, encode({"choices": [], "usage": usage})).usage == Usage(3, 2, 5)


@pytest.mark.parametrize("usage", [None, {}, [], 3, "x", {"prompt_tokens": None}])
def test_usage_that_says_nothing_does_no_harm(usage: Any) -> None:
    """Zeros at most."""
    assert ended(chunk(said(content="x"), usage=usage)).usage in (None, Usage())


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
@pytest.mark.parametrize(("value", "expected"), [("END", "END"), (128001, None), (None, None)])
def test_the_stop_sequence_is_told_where_the_server_says_it(field: str, value: Any, expected: str | None) -> None:
    """A number is a token."""
    assert ended(chunk({**said(finish_reason="stop"), field: value})).matched_stop == expected


def test_a_refusal_is_remembered_until_the_end() -> None:
    """In a field of its own, or as a part of the content."""
    assert ended(chunk(said(refusal="No.")), chunk(said(finish_reason="stop"))).refused
    assert ended(chunk(said(content=[{"type": "refusal", "refusal": "No."}]))).refused
    assert not ended(chunk(said(content="x"))).refused


def test_only_the_first_choice_is_read() -> None:
    """Wherever it stands; the index counts, and null is the first."""
    assert read(chunk(said(1, content="b"), said(0, content="a")))[0] == Text("a")
    assert read(chunk(said(1, "length", content="b"), said(0, content="a"))) == [Text("a"), Ended("stop")]
    assert AnswerReader().read(chunk(said(1, content="b"))) == []
    assert AnswerReader().read(chunk({**said(content="a"), "index": None})) == [Text("a")]


def test_a_whole_answer_whose_choice_has_another_number_is_read() -> None:
    """Some servers count from 1."""
    whole = encode({"choices": [{"index": 1, "message": {"content": "a"}, "finish_reason": "stop"}]})
    assert read_answer(whole) == [Text("a"), Ended("stop")]


def test_a_message_behind_its_pieces_is_not_said_again() -> None:
    """One that comes alone is the answer."""
    whole = {"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}
    assert read(chunk(said(content="a")), chunk(said(content="b")), chunk(whole))[:-1] == [Text("a"), Text("b")]
    assert read(chunk(whole))[:-1] == [Text("ab")]


def test_the_text_of_a_completion_is_text() -> None:
    """Of which choices hold no message."""
    assert read(encode({"choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]})) == [Text("x"), Ended("stop")]


def test_log_probabilities_stand_beside_their_text() -> None:
    """Beside an empty one where none came."""
    one = [{"token": "x", "logprob": -0.5}]
    assert read(chunk({**said(content="x"), "logprobs": {"content": one}}))[0] == Text("x", one)
    assert read(chunk({**said(reasoning="h"), "logprobs": {"content": one}}))[:2] == [Thought("h"), Text("", one)]
    assert read(chunk({**said(content="x"), "logprobs": {"tokens": ["x"]}}))[0] == Text("x")
    assert read(chunk({**said(content="x"), "logprobs": None}))[0] == Text("x")


def test_the_times_of_the_server_are_told_at_the_end() -> None:
    """As it names them."""
    assert ended(chunk(said(content="x"), timings={"prompt_ms": 1.5})).timings == {"prompt_ms": 1.5}


@pytest.mark.parametrize("nothing", [b"{}", b'{"choices":null}', b'{"choices":[]}', b'{"choices":[{}]}', b'{"x":1}'])
def test_an_event_that_says_nothing_is_nothing(nothing: bytes) -> None:
    """Keep-alives, and what servers tell beside the answer."""
    assert AnswerReader().read(nothing) == []


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"[]", b'{"choices":[3]}', b'{"choices":{}}', b'{"choices":[{"delta":"x"}]}', b'{"choices":[{"delta":{"co',
        b'{"choices":[{"delta":{"tool_calls":3}}]}', b'{"choices":[{"delta":{"tool_calls":[{"function":"f"}]}}]}',
        b'{"choices":[{"delta":{"content":' + b"[" * 100_000 + b"]" * 100_000 + b"}}]}",
    ],
)  # fmt: skip
def test_what_has_not_the_shape_of_an_answer_is_an_error(broken: bytes) -> None:
    """A typed one, which names no text of the answer."""
    with pytest.raises(UpstreamProtocol, match="not a chat answer"):
        AnswerReader().read(broken)
