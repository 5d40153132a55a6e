"""Reads how long a server asks to wait, in every form that servers use.

There are two kinds of hints. A wait that a server *asks* for (``retry-after`` and similar headers, and Gemini's
``RetryInfo`` in the body) applies to any error. The time at which a *window* of a rate limit starts again is sent with
good answers too, and matters only if the limit itself refused the request. A hint without a wait (zero, a date in the
past) is ignored: the caller's own backoff applies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from localagent.http_answers.answer_shapes import error_in, objects_in

YEAR = 366 * 86400.0
_EPOCH = 1e9  # seconds; a smaller reset counts from now, one above _EPOCH_MS is in milliseconds
_EPOCH_MS = 1e11

_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_GO_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|us|µs|μs|ns|h|m|s)")
_GO_DURATION = re.compile(rf"\+?(?:{_GO_PART.pattern})+")


def retry_after(headers: Mapping[str, str], body: Any | None, *, wall_time: float) -> float | None:
    """Return how long the server asked to wait, else how long until the windows of its rate limit start again.

    Args:
        headers: Headers of the answer; names are case-insensitive.
        body: The decoded body, or None.
        wall_time: The current seconds since 1970, for dates.

    Returns:
        Seconds, above zero and at most a year, or None if there is no usable hint.
    """
    asked = asked_wait(headers, body, wall_time=wall_time)
    return asked if asked is not None else window_wait(headers, body, wall_time=wall_time)


def asked_wait(headers: Mapping[str, str], body: Any | None, *, wall_time: float) -> float | None:
    """Return how long the server asked to wait: ``retry-after-ms``, then ``retry-after``, then Gemini's RetryInfo.

    Args:
        headers: Headers of the answer; names are case-insensitive.
        body: The decoded body, or None.
        wall_time: The current seconds since 1970, for dates.

    Returns:
        Seconds, above zero and at most a year, or None.
    """
    named = _lower(headers)
    after = named.get("retry-after", "")
    return (
        _wait(_number(named.get("retry-after-ms", "")), 1e-3)
        or _wait(_number(after))
        or _wait(_until(parsedate_to_datetime, after, wall_time))
        or _wait(_retry_info(body))
    )


def window_wait(headers: Mapping[str, str], body: Any | None, *, wall_time: float) -> float | None:
    """Return how long until the rate limit's windows start again: that of the used-up window, else the longest.

    The headers are ``x-ratelimit-reset-requests`` and ``-tokens`` (Go durations), ``anthropic-ratelimit-*-reset`` (RFC
    3339) and ``x-ratelimit-reset`` (epoch seconds or milliseconds), the latter also from the headers that OpenRouter
    repeats in its body.

    Args:
        headers: Headers of the answer; names are case-insensitive.
        body: The decoded body, or None.
        wall_time: The current seconds since 1970, for dates.

    Returns:
        Seconds, above zero and at most a year, or None.
    """
    windows = list(_windows({**_repeated_headers(body), **_lower(headers)}, wall_time))
    spent = [wait for wait, is_spent in windows if is_spent]
    return max(spent or [wait for wait, _ in windows], default=None)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return the value of ``x-should-retry``, or None if it is neither ``true`` nor ``false``."""
    return {"true": True, "false": False}.get(_lower(headers).get("x-should-retry", "").strip().lower())


def parse_go_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go prints it: ``6m0s``, ``1.2s``, ``20ms``, ``1h2m3.5s``, ``0``.

    The grammar is that of Go's ``time.ParseDuration``, without negative durations.

    Args:
        text: The duration.

    Returns:
        Seconds, or None if the text is not a duration.
    """
    text = text.strip()
    if text == "0":
        return 0.0
    if len(text) > 100 or _GO_DURATION.fullmatch(text) is None:
        return None
    return sum(float(number) * _GO_UNITS[unit] for number, unit in _GO_PART.findall(text))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _wait(seconds: float | None, unit: float = 1.0) -> float | None:
    """Return a wait in seconds; None if it is not a number, not above zero or longer than a year."""
    if seconds is None or not 0 < seconds * unit <= YEAR:
        return None
    return seconds * unit


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(parse: Callable[[str], datetime], text: str, wall_time: float) -> float | None:
    """Return the seconds until a date; None if the text is not a date."""
    try:
        moment = parse(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # the errors of the parsers for other text
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() - wall_time


def _retry_info(body: Any) -> float | None:
    delays = [detail.get("retryDelay") for detail in objects_in(error_in(body).get("details"))]
    return next((parse_go_duration(delay) for delay in delays if isinstance(delay, str)), None)


def _repeated_headers(body: Any) -> dict[str, str]:
    metadata = error_in(body).get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    if not isinstance(headers, dict):
        return {}
    return {name.lower(): str(value) for name, value in headers.items() if isinstance(value, str | int | float)}


def _duration_or_seconds(text: str, wall_time: float) -> float | None:
    duration = parse_go_duration(text)
    return duration if duration is not None else _number(text)


def _moment(text: str, wall_time: float) -> float | None:
    until = _until(datetime.fromisoformat, text.strip(), wall_time)
    return _epoch(text, wall_time) if until is None else until


def _epoch(text: str, wall_time: float) -> float | None:
    value = _number(text)
    if value is None or not math.isfinite(value) or value < _EPOCH:
        return value
    return (value / 1000 if value > _EPOCH_MS else value) - wall_time


# The form of a reset, by the header's name. The header with ``remaining`` instead of ``reset`` shows if it is used up.
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, float], float | None]], ...] = (
    (re.compile(r"x-ratelimit-reset-(?:requests|tokens)"), _duration_or_seconds),
    (re.compile(r"anthropic-ratelimit-[a-z-]+-reset"), _moment),
    (re.compile(r"x-ratelimit-reset"), _epoch),
)


def _windows(headers: Mapping[str, str], wall_time: float) -> Iterator[tuple[float, bool]]:
    for name, text in headers.items():
        for pattern, read in _FORMS:
            wait = _wait(read(text, wall_time)) if pattern.fullmatch(name) else None
            if wait is not None:
                yield wait, headers.get(name.replace("reset", "remaining"), "").strip() == "0"
