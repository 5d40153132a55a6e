"""What a body holds is counted on its bytes, before it is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localagent_gateway.apis.bodies import ESCAPES, WHOLE_NUMBERS, BodyLimits, ShapeCount, check_shape
from localagent_gateway.apis.ollama.messages import openai_messages
from localagent_gateway.errors import TooLarge

MEBIBYTE = 1024 * 1024
LIMITS = BodyLimits(depth=100, messages=10_000)
plain = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
text = st.text(alphabet=st.sampled_from('ab"\\,:[]{}e.é\n\U0001f600'), max_size=12)
values = st.recursive(
    plain | text, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(text, inner, max_size=5)
)


def weight(value: Any) -> tuple[int, int]:
    """How many values count as one each, and how many as a tenth."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        pairs = [weight(one) for one in inner]
        return 1 + sum(heavy for heavy, _ in pairs), sum(light for _, light in pairs)
    return (1, 0) if isinstance(value, str | float) else (0, 1)


def depth_of(value: Any) -> int:
    """How many objects and lists are nested."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


def refused(body: bytes, values: int, depth: int = 10**6) -> bool:
    """Whether a body holds too much."""
    try:
        check_shape(body, values, depth)
    except TooLarge:
        return True
    return False


@settings(max_examples=50)
@given(values, st.booleans())
def test_values_are_counted_as_they_are_whatever_texts_hold(value: Any, escaped: bool) -> None:
    """Brackets, commas, quotes and backslashes in texts count nothing, escaped or not."""
    body = json.dumps(value, ensure_ascii=escaped).encode()
    heavy, light = weight(value)
    assert not refused(body, 3 * heavy + light + 1)
    if heavy > 2:
        assert refused(body, heavy - 2)


@settings(max_examples=50)
@given(values)
def test_depth_is_counted_as_it_is_whatever_texts_hold(value: Any) -> None:
    """The depth itself is let in, and one less is not."""
    body, depth = json.dumps(value).encode(), depth_of(value)
    check_shape(body, 10**6, depth)
    if depth:
        assert refused(body, 10**6, depth - 1)


@pytest.mark.parametrize(
    "text",
    [b",[{:" * (31 * MEBIBYTE // 4), b"a" * (31 * MEBIBYTE), b"1e300," * (5 * MEBIBYTE), rb"\n\\\"," * 300_000],
    ids=["structure", "letters", "numbers", "escapes"],
)
def test_a_long_prompt_is_one_value(text: bytes) -> None:
    """Whatever it looks like: it is let in, and comes back whole."""
    document = LIMITS.read(b'{"messages":[{"role":"user","content":"%b"}]}' % text)
    assert len(document["messages"][0]["content"]) >= len(text) // 2


MANY = {
    "numbers": b"[%b]" % b",".join([b"1"] * (LIMITS.values * WHOLE_NUMBERS + 20)),
    "fractions": b"[%b]" % b",".join([b"1e300"] * LIMITS.values),
    "texts": b"[%b]" % b",".join([b'""'] * LIMITS.values),
    "names": b"{%b}" % b",".join(b'"%d":1' % number for number in range(LIMITS.values)),
    "lists": b"[%b]" % b",".join([b"[]"] * LIMITS.values),
    "objects": b"[%b]" % b",".join([b"{}"] * LIMITS.values),
    "blocks": b"[%b]" % b",".join([b'{"type":"text","text":"a"}'] * (LIMITS.values // 5)),
    "booleans": b"[%b]" % b",".join([b"true"] * LIMITS.values),
    "quotes": b'"' * MEBIBYTE,
    "closing": b"[" * 101 + b"]" * (4 * MEBIBYTE),
    "opening": b'{"a":' * MEBIBYTE,
    "escapes": b'["%b"]' % (b"\\n" * (ESCAPES + 1)),
    "escapes behind a backslash": b'["%b"]' % (b"\\\\" * (ESCAPES // 2 + 1)),
}


@pytest.mark.parametrize("content", list(MANY.values()), ids=list(MANY))
def test_too_many_values_are_refused_whatever_they_are(content: bytes) -> None:
    """With 413; each kind that takes time to decode, and bytes that are not JSON."""
    with pytest.raises(TooLarge) as caught:
        LIMITS.read(b'{"x":%b}' % content)
    assert caught.value.status == 413


def test_what_clients_send_at_most_is_let_in() -> None:
    """The longest conversation that the settings allow, and all tokens that OpenAI takes in one request to embed."""
    messages = [{"role": "user", "content": "Hi, you."}] * LIMITS.messages
    assert LIMITS.read(json.dumps({"messages": messages}).encode())
    assert LIMITS.read(json.dumps({"input": [[100_000] * 150] * 2_048}).encode())


def test_answers_to_many_tool_calls_are_found_at_once() -> None:
    """By id, by name, or in their order; each call is answered once."""
    calls = [{"id": f"id{number}", "function": {"name": f"name{number % 2}"}} for number in range(10_000)]
    answers = [
        {"role": "tool", "content": "", "tool_name": "name1"},
        {"role": "tool", "content": "", "tool_call_id": "id1"},
        {"role": "tool", "content": ""},
        *[{"role": "tool", "content": "", "tool_name": "nobody"}] * 10_000,
        {"role": "tool", "content": "", "tool_name": "name1"},
    ]
    said = openai_messages([{"role": "assistant", "tool_calls": calls}, *answers])[1:]
    reported = [message.get("tool_call_id") for message in said]
    assert reported[:3] == ["id1", "id1", "id0"]
    assert reported[-1] == "id3"
    assert set(reported[3:-1]) == {None}


@settings(max_examples=50)
@given(values, st.booleans(), st.data())
def test_it_does_not_matter_where_a_body_is_cut(value: Any, escaped: bool, data: st.DataObject) -> None:
    """Within a text, between a backslash and what it escapes, between brackets: the count is the same."""
    body = json.dumps(value, ensure_ascii=escaped).encode()
    whole, parts = ShapeCount(10**6, 10**6), ShapeCount(10**6, 10**6)
    whole.add(body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        parts.add(body[start:stop])
    for name in ShapeCount.__slots__:
        if name != "_escapes":  # a backslash on either side of a cut is seen twice
            assert getattr(parts, name) == getattr(whole, name), name


@settings(max_examples=50)
@given(values, st.data())
def test_depth_is_found_wherever_a_body_is_cut(value: Any, data: st.DataObject) -> None:
    """The level goes on from block to block."""
    body, depth = json.dumps([value]).encode(), depth_of(value)
    cut = data.draw(st.integers(0, len(body)))

    def add(most: int) -> None:
        count = ShapeCount(10**6, most)
        for part in (body[:cut], body[cut:]):
            count.add(part)

    add(depth + 1)
    with pytest.raises(TooLarge):
        add(depth)
