"""Bodies are JSON objects within limits, and may not say where requests go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import InvalidRequest
from localagent_gateway.apis.bodies import DENIED, BodyLimits, decoded
from localagent_testing import CANARY_PROMPT

LIMITS = BodyLimits(depth=5, messages=3)

plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text()
)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def depth_of(value: Any) -> int:
    """How many objects and lists are nested."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


def nested(levels: int) -> bytes:
    """An object with so many levels in all."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@given(st.dictionaries(st.text(max_size=12), values, max_size=5))
def test_an_object_comes_back_as_it_was_or_is_too_deep(document: dict[str, Any]) -> None:
    """Whatever it holds; only depth, and names that are refused, decide."""
    body = json.dumps(document).encode()
    if not DENIED.isdisjoint(document) or {"model", "stream", "stream_options", "messages"} & document.keys():
        return
    if depth_of(document) > LIMITS.depth:
        with pytest.raises(InvalidRequest, match="more than 5 levels deep"):
            LIMITS.read(body)
    else:
        assert LIMITS.read(body) == document


def test_depth_is_counted_exactly() -> None:
    """As many levels as allowed, and one more; brackets in texts do not count."""
    assert LIMITS.read(nested(5))
    with pytest.raises(InvalidRequest, match="levels deep"):
        LIMITS.read(nested(6))
    assert LIMITS.read(json.dumps({"a": "[{" * 100}).encode())


@pytest.mark.parametrize("levels", [1_000, 100_000, 1_000_000])
def test_no_depth_breaks_the_reader(levels: int) -> None:
    """An error, not the end of the stack, where levels are closed and where they are not."""
    for body in (nested(levels), b'{"a":' * levels, b"[" * levels):
        with pytest.raises(InvalidRequest, match=r"nested|values|JSON"):
            LIMITS.read(body)


@pytest.mark.parametrize("name", sorted(DENIED))
def test_a_name_that_could_choose_is_refused(name: str) -> None:
    """Whatever its value; the message names it and nothing else."""
    for value in ("http://evil.example", None, {}):
        with pytest.raises(InvalidRequest, match=f"The field {name} is not allowed") as caught:
            LIMITS.read(json.dumps({"messages": [], name: value}).encode())
        assert caught.value.code == "field_not_allowed"


def test_a_name_that_could_choose_is_refused_however_it_is_written() -> None:
    """Escaped, or hidden behind a second one of the same name; below the top it is only content."""
    for body in (rb'{"api\u005fbase": "x"}', b'{"api_base": "x", "api_base": null}'):
        with pytest.raises(InvalidRequest, match="api_base"):
            LIMITS.read(body)
    assert LIMITS.read(b'{"metadata": {"api_base": "x"}}')


def test_of_a_repeated_name_the_last_counts() -> None:
    """What is sent on is encoded again, so nobody behind us reads another value."""
    assert LIMITS.read(b'{"model": "a", "model": "b"}') == {"model": "b"}


def test_messages_are_counted() -> None:
    """As many as allowed, and one more."""
    assert LIMITS.read(b'{"messages": [1, 2, 3]}')
    with pytest.raises(InvalidRequest, match="more than 3 messages"):
        LIMITS.read(b'{"messages": [1, 2, 3, 4]}')


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{}x", b"{'a': 1}", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 01}', b'{"a": "\xff"}',
     b"\xef\xbb\xbf{}", b'{"a": "\x01"}', b'{"a": 1,}', b'{"a": "\\ud800"}', b"\x00", b"null x"],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """RFC 8259: no NaN, no control characters, no lone surrogates, UTF-8 without a mark."""
    with pytest.raises(InvalidRequest, match="JSON"):
        LIMITS.read(body)


@pytest.mark.parametrize("body", [b"null", b"true", b"1", b'"text"', b"[]", b"[{}]"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """JSON, and still nothing that an API can read."""
    assert decoded(body) is not Ellipsis
    with pytest.raises(InvalidRequest, match="must be a JSON object"):
        LIMITS.read(body)


@pytest.mark.parametrize("field", ["model", "stream", "stream_options"])
def test_a_field_of_the_wrong_kind_is_named(field: str) -> None:
    """Its name is reported, its value is not."""
    with pytest.raises(InvalidRequest, match=f"The field {field} ") as caught:
        LIMITS.read(json.dumps({field: [CANARY_PROMPT]}).encode())
    assert CANARY_PROMPT not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(InvalidRequest):
        assert isinstance(LIMITS.read(body), dict)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1/chat/completions", lambda document: document["error"]["message"]),
        ("/api/chat", lambda document: document["error"]),
        ("/v1/messages", lambda document: document["error"]["message"]),
    ],
)
async def test_a_body_that_is_not_taken_in_is_refused_in_the_apis_own_shape(
    serve: Any, path: str, sentence: Callable[[Any], str]
) -> None:
    """Before any handler has seen it."""
    async with serve(max_body=100) as served, httpx.AsyncClient(base_url=served.url) as http:
        answer = await http.post(path, content=b"x" * 101)
    assert answer.status_code == 413
    assert sentence(answer.json()) == "The body is larger than 100 bytes."
