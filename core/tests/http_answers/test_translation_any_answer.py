"""Whatever a server answers, it becomes a typed error in one printable line, without a key."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from localagent.errors import LocalAgentError
from localagent.http_answers import error_from_answer
from localagent_testing.common_answers import KEY
from localagent_testing.translated import TARGET, WALL, answered


def shown(error: LocalAgentError) -> str:
    """Return all text that an error holds."""
    return f"{error} {error!r} {vars(error)!r} {error.args!r}"


HEADERS = st.dictionaries(
    st.sampled_from(["x-request-id", "request-id", "retry-after", "location", "x-should-retry", "x-ratelimit-reset"]),
    st.text(max_size=30) | st.just(KEY) | st.text(max_size=9).map(lambda text: f"{text}{KEY}{text}"),
    max_size=3,
)
WORDS = (
    st.text(max_size=20)
    | st.text(max_size=20).map(lambda text: f"{text}{KEY} {text}")
    | st.sampled_from([f"model '{KEY}' not found", f"invalid: {KEY}", f"https://x:{KEY}@h/?key={KEY}", "overloaded"])
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "details", "code", "type", "status", "loc", "msg", "response", "choices",
                 "promptFeedback", "candidates", "violations", "metadata", "headers", "retryDelay", "innererror"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)  # fmt: skip
STATUSES = st.integers(min_value=300, max_value=599) | st.integers()


@given(STATUSES, HEADERS, DOCUMENTS)
def test_no_answer_raises_and_none_shows_a_key(status: int, headers: dict[str, str], document: Any) -> None:
    """Any status, headers and JSON give a typed error in one printable line, and a key in them is nowhere in it."""
    body = json.dumps(document).encode()
    error = error_from_answer(status, headers, body, provider="openai", target=TARGET, wall_time=WALL)
    assert KEY not in shown(error)
    assert str(error).isprintable()


@given(HEADERS, DOCUMENTS)
def test_no_document_raises_and_none_shows_a_key(headers: dict[str, str], document: Any) -> None:
    """The same for what comes inside a 200; what the provider charges is then never taken for nothing."""
    body = json.dumps(document).encode()
    error = error_from_answer(None, headers, body, provider="openai", target=TARGET, wall_time=WALL)
    assert KEY not in shown(error)
    assert error.billed != "no"


@given(STATUSES, st.binary(max_size=200), st.binary(max_size=50))
def test_no_bytes_raise_and_none_show_a_key(status: int, before: bytes, behind: bytes) -> None:
    """Any bytes give a typed error, with a key among them or not."""
    error = answered(status, before + KEY.encode() + b" " + behind)()
    assert isinstance(error, LocalAgentError)
    assert KEY not in shown(error)
