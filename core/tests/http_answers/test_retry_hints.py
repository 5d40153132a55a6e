"""What is read out of an answer about waiting: every form in which servers say it, and no nonsense."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.http_answers.retry_hints import (
    YEAR,
    asked_wait,
    parse_go_duration,
    retry_after,
    should_retry,
    window_wait,
)

WALL = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()


def gemini(delay: Any) -> dict[str, Any]:
    """Return a Gemini error whose RetryInfo asks for a delay."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "other"}, info]}}


def openrouter(reset: Any) -> dict[str, Any]:
    """Return an OpenRouter error that repeats the headers of its limit in the body."""
    headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    return {"error": {"code": 429, "message": "Rate limit exceeded", "metadata": {"headers": headers}}}


HINTS: dict[str, tuple[dict[str, str], Any, float | None]] = {
    "seconds": ({"retry-after": "1"}, None, 1.0),
    "a fraction of seconds": ({"retry-after": "0.25"}, None, 0.25),
    "names compare without case": ({"Retry-After": "7"}, None, 7.0),
    "an hour is kept": ({"retry-after": "3600"}, None, 3600.0),
    "milliseconds win": ({"retry-after-ms": "350", "retry-after": "1"}, None, 0.35),
    "broken milliseconds do not win": ({"retry-after-ms": "soon", "retry-after": "1"}, None, 1.0),
    "a date to come": ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None, 30.0),
    "a date in the old form": ({"retry-after": "Wednesday, 21-Oct-26 07:29:00 GMT"}, None, 60.0),
    "a date without a zone is UTC": ({"retry-after": "Wed Oct 21 07:28:10 2026"}, None, 10.0),
    "a date in the past": ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}, None, None),
    "no wait": ({"retry-after": "0"}, None, None),
    "not a number": ({"retry-after": "nan"}, None, None),
    "infinity": ({"retry-after": "inf"}, None, None),
    "too large for a number": ({"retry-after": "1e309"}, None, None),
    "longer than anybody waits": ({"retry-after": "1e300"}, None, None),
    "negative": ({"retry-after": "-1"}, None, None),
    "empty": ({"retry-after": ""}, None, None),
    "text": ({"retry-after": "a little while"}, None, None),
    "requests in Go's form": ({"x-ratelimit-reset-requests": "1.2s"}, None, 1.2),
    "tokens in Go's form": ({"x-ratelimit-reset-tokens": "6m0s"}, None, 360.0),
    "milliseconds in Go's form": ({"x-ratelimit-reset-tokens": "20ms"}, None, 0.02),
    "a bare number is seconds": ({"x-ratelimit-reset-tokens": "3"}, None, 3.0),
    "the spent window decides": (
        {
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-remaining-tokens": "149984",
        },
        None,
        1.0,
    ),
    "without a spent window the longer one": (
        {
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        None,
        360.0,
    ),
    "Anthropic's dates": ({"anthropic-ratelimit-requests-reset": "2026-10-21T07:28:45Z"}, None, 45.0),
    "Anthropic's spent window": (
        {
            "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:45Z",
            "anthropic-ratelimit-requests-remaining": "12",
            "anthropic-ratelimit-input-tokens-reset": "2026-10-21T09:28:05+02:00",
            "anthropic-ratelimit-input-tokens-remaining": "0",
        },
        None,
        5.0,
    ),
    "Anthropic's date in the past": ({"anthropic-ratelimit-tokens-reset": "2026-10-21T07:27:45Z"}, None, None),
    "Anthropic's epoch": ({"anthropic-ratelimit-unified-reset": str(int(WALL) + 90)}, None, 90.0),
    "Anthropic's nonsense": ({"anthropic-ratelimit-tokens-reset": "tomorrow"}, None, None),
    "Gemini's RetryInfo": ({}, gemini("34s"), 34.0),
    "Gemini's RetryInfo with a fraction": ({}, gemini("34.5s"), 34.5),
    "Gemini's RetryInfo in an array": ({}, [gemini("34s")], 34.0),
    "an invalid RetryInfo of Gemini": ({}, gemini(34), None),
    "epoch seconds": ({"x-ratelimit-reset": str(int(WALL) + 15)}, None, 15.0),
    "epoch milliseconds": ({"x-ratelimit-reset": str(int(WALL + 15) * 1000)}, None, 15.0),
    "an epoch in the past": ({"x-ratelimit-reset": str(int(WALL) - 15)}, None, None),
    "too small for an epoch is seconds": ({"x-ratelimit-reset": "15"}, None, 15.0),
    "OpenRouter's body, as text": ({}, openrouter(str(int(WALL + 15) * 1000)), 15.0),
    "OpenRouter's body, as a number": ({}, openrouter(int(WALL + 15) * 1000), 15.0),
    "what is asked wins over windows": ({"x-ratelimit-reset-tokens": "6m0s"}, gemini("34s"), 34.0),
    "nothing": ({}, None, None),
}


@pytest.mark.parametrize("hint", HINTS)
def test_every_form_of_a_hint_becomes_seconds(hint: str) -> None:
    """A wait is read from any form; nonsense, and a wait of nothing, is None."""
    headers, body, seconds = HINTS[hint]
    assert retry_after(headers, body, wall_time=WALL) == (None if seconds is None else pytest.approx(seconds, abs=1e-3))


def test_a_window_is_not_what_a_server_asks() -> None:
    """Windows come with good answers too: only what was asked holds for any error."""
    headers = {"x-ratelimit-reset-tokens": "6m0s"}
    assert asked_wait(headers, None, wall_time=WALL) is None
    assert window_wait(headers, None, wall_time=WALL) == 360.0


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("true", True), ("false", False), (" False ", False), ("TRUE", True), ("", None), ("1", None), ("maybe", None)],
)
def test_should_retry_is_true_false_or_silent(value: str, meaning: bool | None) -> None:
    """Only the two words count."""
    assert should_retry({"X-Should-Retry": value}) is meaning


def test_should_retry_is_silent_without_the_header() -> None:
    """No header says nothing."""
    assert should_retry({}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("1.2s", 1.2), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("0", 0.0), ("0s", 0.0), (".5s", 0.5)],
)
def test_durations_of_go_are_read(text: str, seconds: float) -> None:
    """The forms that OpenAI and Groq send."""
    assert parse_go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1", "-1s", "1 s", "1d", "1s2", "1e3s", "٣s", "nan", "1s" * 60, "1..2s"])
def test_what_is_no_duration_is_none(text: str) -> None:
    """A unit is needed, a sign or another script's digit is not taken."""
    assert parse_go_duration(text) is None


def as_go_prints(nanoseconds: int) -> str:
    """Write a duration as Go's Duration.String does."""
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return decimal(nanoseconds, size) + unit
        return "0s"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = decimal(rest, 1_000_000_000) + "s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def decimal(value: int, size: int) -> str:
    """Write value / size exactly, without zeros behind."""
    whole, rest = divmod(value, size)
    digits = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


@given(st.integers(min_value=0, max_value=10**16))
def test_what_go_prints_is_what_is_read(nanoseconds: int) -> None:
    """Writing a duration as Go does and reading it gives the duration back."""
    assert parse_go_duration(as_go_prints(nanoseconds)) == pytest.approx(nanoseconds / 1e9, rel=1e-12, abs=1e-12)


@given(st.integers(min_value=1, max_value=10**7))
def test_a_date_to_come_is_read_to_the_second(seconds: int) -> None:
    """An HTTP date says how far away it is."""
    header = formatdate(WALL + seconds, usegmt=True)
    assert retry_after({"retry-after": header}, None, wall_time=WALL) == pytest.approx(seconds)


NAMES = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-reset",
    ]
)
VALUES = st.text(max_size=40) | st.floats().map(str) | st.datetimes().map(str) | st.integers().map(str)
BODIES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "details", "retryDelay", "metadata", "headers"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4), BODIES)
def test_whatever_comes_a_wait_is_finite_and_above_zero(headers: dict[str, str], body: Any) -> None:
    """No header and no body makes the reading raise, or gives a wait that nobody could sleep."""
    wait = retry_after(headers, body, wall_time=WALL)
    assert wait is None or (math.isfinite(wait) and 0 < wait <= YEAR)
