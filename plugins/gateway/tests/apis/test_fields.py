"""Tables of request fields."""

from __future__ import annotations

from typing import Any

import pytest

from localagent_gateway.apis.fields import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_OR_TEXTS,
    TEXTS,
    WHOLE,
    Document,
    Kind,
    Table,
    each,
    elsewhere,
    named,
    needed,
    only,
    refused,
    same,
    to,
    within,
)
from localagent_gateway.errors import WrongField

VALUES: list[Any] = ["", "a", True, False, 0, 1, 0.0, 1.5, {}, {"a": 1}, [], ["a"], [1], ["a", 1]]
TABLE = Table({
    **same(TEXT, "model"),
    **elsewhere(FLAG, "stream"),
    "limit": to("max_tokens", WHOLE),
    "tier": only("auto", "usual"),
    "template": refused("Leave it out."),
    "inner": within(Table({**same(NUMBER, "heat")})),
})  # fmt: skip


def refusal(table: Table, body: Document) -> WrongField:
    with pytest.raises(WrongField) as caught:
        table.read(body)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        (TEXT, ["", "a"]), (FLAG, [True, False]), (WHOLE, [0, 1]), (NUMBER, [0, 1, 0.0, 1.5]),
        (OBJECT, [{}, {"a": 1}]), (LIST, [[], ["a"], [1], ["a", 1]]), (TEXTS, [[], ["a"]]),
        (TEXT_OR_TEXTS, ["", "a", [], ["a"]]),
    ],
)  # fmt: skip
def test_a_kind_takes_its_values_and_no_others(kind: Kind, taken: list[Any]) -> None:
    """Truth values are no numbers, and each entry of a list counts; the error says where and what."""
    accepted = [(type(one), one) for one in taken]
    for value in VALUES:
        if (type(value), value) in accepted:
            assert kind(value, "a.b") is value
        else:
            with pytest.raises(WrongField, match=f"^The field a.b must be {kind.expected}") as caught:
                kind(value, "a.b")
            assert caught.value.param == "a.b"


def test_fields_become_those_of_the_common_schema() -> None:
    """Under the same name, another one, or none; null says nothing."""
    body = {"model": "m", "limit": 3, "stream": True, "tier": "auto", "template": "", "inner": {"heat": 1}}
    assert TABLE.read(body) == {"model": "m", "max_tokens": 3, "heat": 1}
    assert TABLE.read(dict.fromkeys(body)) == {}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": 3}, "model", "invalid_request"), ({"stream": "yes"}, "stream", "invalid_request"),
        ({"limit": True}, "limit", "invalid_request"), ({"tier": "other"}, "tier", "unsupported"),
        ({"template": "x"}, "template", "unsupported"), ({"inner": []}, "inner", "invalid_request"),
        ({"inner": {"heat": "x"}}, "inner.heat", "invalid_request"), ({"inner": {"cold": 1}}, "inner", "unsupported"),
        ({"strange": 1}, "strange", "unsupported"), ({"strange": []}, "strange", "unsupported"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field(body: Document, param: str, code: str) -> None:
    """In its sentence and for programs, whatever is wrong with it."""
    error = refusal(TABLE, body)
    assert (error.param, error.code) == (param, code)
    assert param in error.message


def test_what_is_unknown_inside_may_be_there_when_it_says_nothing() -> None:
    """Clients send empty fields that other versions of an API know."""
    assert TABLE.read({"inner": {"cold": [], "dry": None, "wet": ""}}) == {}


def test_a_table_may_pass_on_what_it_does_not_know() -> None:
    """As it is; null says nothing there, either."""
    assert Table(same(TEXT, "a"), passes=True).read({"a": "x", "b": [1], "c": None}) == {"a": "x", "b": [1]}


def test_a_long_or_secret_name_is_not_repeated_whole() -> None:
    """A body chooses the names of its fields, too."""
    assert len(refusal(TABLE, {"x" * 5_000: 1}).message) < 120
    key = "sk-" + "proj-abcdefghijklmnopqrstuvwxyz0123456789"
    assert key not in refusal(TABLE, {key: 1}).message
    assert max(len(named("x" * 5_000)), len(named(["x" * 5_000]))) == 60


def test_entries_of_a_list_have_their_places() -> None:
    """Counted from zero."""
    assert each(["a", "b"], "tools") == [("tools[0]", "a"), ("tools[1]", "b")]


def test_a_field_that_is_needed_is_missed() -> None:
    """Null is missing."""
    assert needed({"a": "x"}, "a", TEXT) == "x"
    with pytest.raises(WrongField, match=r"The field tools\[0\].name is missing"):
        needed({"name": None}, "name", TEXT, "tools[0]")
