"""How long a server asks to wait, in every form in which servers say it.

Two kinds of hints: what a server *asks* (``retry-after`` and its kin, and Gemini's ``RetryInfo`` in the body) holds for
any error; when a *window* of a rate limit starts again is sent with good answers too, and is only a reason to wait
where the limit itself refused. A hint of nothing (zero, a date in the past) is no hint: the caller's own backoff holds.
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
_EPOCH = 1e9  # seconds; a reset below it counts from now, one above _EPOCH_MS is in milliseconds
_EPOCH_MS = 1e11

_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_GO_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|us|µs|μs|ns|h|m|s)")
_GO_DURATION = re.compile(rf"\+?(?:{_GO_PART.pattern})+")


def retry_after(headers: Mapping[str, str], body: Any | None, *, wall_time: float) -> float | None:
    """Return how long the server asked to wait, from what it asks, else from the windows of its rate limit.

    Args:
        headers: Headers of the answer; names compare without case.
        body: The decoded body, or None.
        wall_time: Seconds since 1970 now, for dates.

    Returns:
        Seconds, above zero and at most a year, or None where no hint makes sense.
    """
    asked = asked_wait(headers, body, wall_time=wall_time)
    return asked if asked is not None else window_wait(headers, body, wall_time=wall_time)


def asked_wait(headers: Mapping[str, str], body: Any | None, *, wall_time: float) -> float | None:
    """Return how long the server asked to wait: ``retry-after-ms``, then ``retry-after``, then Gemini's RetryInfo.

    Args:
        headers: Headers of the answer; names compare without case.
        body: The decoded body, or None.
        wall_time: Seconds since 1970 now, for dates.

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
    """Return when the rate limit's windows start again: the spent one decides, else the longest.

    Read are ``x-ratelimit-reset-requests`` and ``-tokens`` (Go durations), ``anthropic-ratelimit-*-reset`` (RFC 3339)
    and ``x-ratelimit-reset`` (epoch seconds or milliseconds), the latter also from the headers that OpenRouter repeats
    in its body.

    Args:
        headers: Headers of the answer; names compare without case.
        body: The decoded body, or None.
        wall_time: Seconds since 1970 now, for dates.

    Returns:
        Seconds, above zero and at most a year, or None.
    """
    windows = list(_windows({**_repeated_headers(body), **_lower(headers)}, wall_time))
    spent = [wait for wait, is_spent in windows if is_spent]
    return max(spent or [wait for wait, _ in windows], default=None)


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Return what ``x-should-retry`` says, or None where it says neither ``true`` nor ``false``."""
    return {"true": True, "false": False}.get(_lower(headers).get("x-should-retry", "").strip().lower())


def parse_go_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go prints it: ``6m0s``, ``1.2s``, ``20ms``, ``1h2m3.5s``, ``0``.

    The grammar is that of Go's ``time.ParseDuration``, without negative durations.

    Args:
        text: The duration.

    Returns:
        Seconds, or None where the text is no duration.
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
    """Pass a wait that makes sense; None for what is not a number, not above zero, or beyond a year."""
    if seconds is None or not 0 < seconds * unit <= YEAR:
        return None
    return seconds * unit


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(parse: Callable[[str], datetime], text: str, wall_time: float) -> float | None:
    """Return the seconds until a date; None where the parser finds none."""
    try:
        moment = parse(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # what the parsers raise for anything else
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


# The form of a reset, by the header's name; what ``remaining`` stands where ``reset`` does tells whether it is spent.
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
