"""The pieces of tool calls are joined, in all the ways in which servers cut and number them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_events import ARGUMENTS, called, calls, chunk, message, piece, said


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
    """A named piece with another id is another call; pieces without an id belong to the one spoken of last.

    Ollama did so (ollama/ollama#15457), and has sent calls without an index (ollama/ollama#7881).
    """
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
