"""The errors of a server's answers as data: for tests of ``ErrorRule``.

::

    ANSWERS = {"no money": (answered(400, {"error": "the purse is empty"}), QUOTA)}

    @pytest.mark.parametrize("case", ANSWERS)
    def test_each_answer_becomes_its_error(case):
        answer, expected = ANSWERS[case]
        assert found(answer(rules=RULES), expected) == expected

    def test_each_rule_is_needed():
        assert idle(RULES, [answer for answer, _ in ANSWERS.values()]) == []
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import attrs

from localagent import LocalAgentError
from localagent.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    EmptyResponse,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    UpstreamAuth,
    UpstreamProtocol,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent.http_answers import ErrorRule, error_from_answer

WALL = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
TARGET = "openai/gpt-5-mini at openai@api.openai.com"


class Answered(Protocol):
    """An answer; called, it is translated by a provider type's rules and the core's."""

    def __call__(self, *, rules: Sequence[ErrorRule] = ()) -> LocalAgentError:
        """Return its error."""


def answered(status: int | None, body: Any = b"", **headers: str) -> Answered:
    """Return an answer; a body other than bytes is sent as JSON, ``_`` in header names becomes ``-``."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(error_from_answer, status, named, raw, provider="openai", target=TARGET, wall_time=WALL)


def inside(document: Any, **headers: str) -> Answered:
    """Return an answer with status 200 and an error in its body, or in an event of a stream."""
    return answered(None, document, **headers)


def openai_error(message: str = "No.", **fields: Any) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}


@attrs.frozen
class Expected:
    """The expected fields of an error.

    Attributes:
        kind: Its class.
        retry: Which target may succeed on a retry: ``same``, ``next``, ``same next`` or ``none``.
        billed: As in ``Advice``.
        breaker: As in ``Advice``.
        status: The status that a client sees.
        code: The code that a client sees.
        retry_after: Seconds that the server asks to wait.
    """

    kind: type[LocalAgentError]
    retry: str
    billed: str
    breaker: str
    status: int
    code: str
    retry_after: float | None = None


AUTH = Expected(UpstreamAuth, "next", "no", "neutral", 502, "upstream_auth")
DENIED = Expected(PermissionDenied, "next", "no", "neutral", 502, "permission_denied")
NOT_FOUND = Expected(ModelNotFound, "next", "no", "alive", 404, "model_not_found")
INVALID = Expected(InvalidRequest, "none", "no", "alive", 400, "invalid_request")
WRONG_ELSEWHERE = Expected(InvalidRequest, "next", "no", "alive", 400, "invalid_request")
UNSUPPORTED = Expected(InvalidRequest, "next", "no", "alive", 400, "unsupported")
TOO_LARGE = Expected(InvalidRequest, "none", "no", "alive", 413, "request_too_large")
TOO_LONG = Expected(ContextLengthExceeded, "none", "no", "alive", 400, "context_length_exceeded")
FILTERED = Expected(ContentFiltered, "none", "no", "alive", 400, "content_filter")
QUOTA = Expected(QuotaExhausted, "next", "no", "neutral", 429, "insufficient_quota")
TIMEOUT = Expected(UpstreamTimeout, "same next", "unknown", "failure", 504, "upstream_timeout")
CONFLICT = Expected(UpstreamServerError, "same", "no", "neutral", 502, "upstream_server_error")
LIMITED = Expected(RateLimited, "same next", "no", "neutral", 429, "rate_limited")
BUSY = Expected(Overloaded, "same next", "no", "failure", 503, "overloaded")
FAILED = Expected(UpstreamServerError, "same next", "unknown", "failure", 502, "upstream_server_error")
NOT_LOADED = Expected(UpstreamServerError, "next", "unknown", "failure", 502, "upstream_server_error")
EMPTY = Expected(EmptyResponse, "same next", "unknown", "neutral", 502, "empty_response")
REDIRECT = Expected(UpstreamProtocol, "next", "no", "failure", 502, "upstream_protocol")
WRONG_ADDRESS = Expected(UpstreamProtocol, "next", "no", "neutral", 502, "upstream_protocol")
ASK_AGAIN = attrs.evolve(CONFLICT, retry="same next")


def after(expected: Expected, seconds: float) -> Expected:
    """Return the same with a hint."""
    return attrs.evolve(expected, retry_after=seconds)


def unknown(expected: Expected) -> Expected:
    """Return the same with an unknown charge."""
    return attrs.evolve(expected, billed="unknown")


def found(error: LocalAgentError, expected: Expected) -> Expected:
    """Return an error as ``Expected``; a hint within a millisecond of the expected one counts as equal."""
    words = [word for word, on in (("same", error.advice.same), ("next", error.advice.next)) if on]
    hint, wanted = error.retry_after, expected.retry_after
    if hint is not None and wanted is not None and abs(hint - wanted) < 1e-3:
        hint = wanted
    return Expected(type(error), " ".join(words) or "none", error.billed, error.advice.breaker, error.status,
                    error.code, hint)  # fmt: skip


def idle(rules: Sequence[ErrorRule], answers: Iterable[Answered]) -> list[ErrorRule]:
    """Return the rules without which every answer still becomes the same error: they are not needed, or not tested."""
    cases = list(answers)
    whole = [_outcome(case(rules=rules)) for case in cases]
    return [
        rule
        for number, rule in enumerate(rules)
        if all(_outcome(case(rules=(*rules[:number], *rules[number + 1 :]))) == outcome
               for case, outcome in zip(cases, whole, strict=True))
    ]  # fmt: skip


def _outcome(error: LocalAgentError) -> tuple[Any, ...]:
    """Return all fields that a rule can change."""
    return type(error), error.message, error.hint, error.code, error.status, error.advice
