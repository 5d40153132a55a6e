"""The one place where what a model server answers becomes a typed error.

An answer is read into what it *said*: a status, names (codes and types), a message. The first line of ``TABLE`` that
fits decides the class, and where an answer calls for other consequences than its class does, the ``Advice``.

Two rules keep strangers out of it:

- What a user writes may come back in a server's message. A pattern of a message therefore matches from its first
  character, so that nobody can write the words that park a key for all others; only lines that concern nobody but
  the request itself look further in.
- A server's own sentence is the error's ``detail``, after ``redact``. It is also the message where the user must change
  the request; everything else is said in our own words, with the server's code. What is said of a wrong key is never
  kept: it may show the key. The core drops a detail that repeats the request (``localagent.repetition``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from localagent.errors import (
    Advice,
    LocalAgentError,
    QuotaExhausted,
    RateLimited,
    UpstreamAuth,
)
from localagent.http_answers.answer_shapes import (
    PAGE,
    Said,
    document_of,
    inner_status,
    names_in,
    part_of,
    sentence_in,
    unanswered,
)
from localagent.http_answers.error_rules import MENDS, NO_ANSWER, OTHERWISE, PASSED_ON, SAYS, TABLE, Rule
from localagent.http_answers.redaction import KEY, clean_header, redact
from localagent.http_answers.retry_hints import asked_wait, retry_after, should_retry

__all__ = ["error_from_answer", "error_from_document"]

PARKED = 300.0  # seconds; a shorter hint beside a spent quota is one of the rate limit and would end the parking

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_REQUEST_IDS = ("x-request-id", "request-id", "x-ms-request-id")


def error_from_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str, target: str, wall: float
) -> LocalAgentError:
    """Return the error that an answer without success stands for.

    Args:
        status: The status of the status line.
        headers: The headers.
        body: What was read of the body; at most 64 KiB of it are looked at.
        provider: Name of the provider, as configured.
        target: The target, as text.
        wall: Seconds since 1970 now, for dates in hints.
    """
    document = document_of(body)
    part = part_of(document)
    said = Said(status, tuple(names_in(part)), sentence_in(part), inside=False)
    return _error(said, headers, document, provider=provider, target=target, wall=wall)


def error_from_document(
    document: Any, *, provider: str, target: str, wall: float, headers: Mapping[str, str] | None = None
) -> LocalAgentError:
    """Return the error that a document inside a 200 stands for: its ``error``, or that it is an answer without one.

    Ask only where there is one: a document with ``error`` (an object or a string), OpenAI's ``response.failed``, or
    one that ends without content: Gemini's ``blockReason``, ``choices: []``, Ollama's ``done_reason: "load"``.

    Args:
        document: The decoded body, or the decoded event of a stream.
        provider: Name of the provider, as configured.
        target: The target, as text.
        wall: Seconds since 1970 now, for dates in hints.
        headers: The headers of the answer, for hints and the request's id.
    """
    part = part_of(document)
    names = (*names_in(part), *unanswered(document))
    said = Said(inner_status(part), names, sentence_in(part), inside=True)
    return _error(said, headers or {}, document, provider=provider, target=target, wall=wall)


def _error(
    said: Said, headers: Mapping[str, str], document: Any, *, provider: str, target: str, wall: float
) -> LocalAgentError:
    rule, groups = _rule(said)
    mend = rule.mend or MENDS.get(rule.kind)
    detail = _detail(rule, said)
    error = rule.kind(
        _message(rule, said, groups) if detail is None or rule.kind not in PASSED_ON else detail,
        mend=mend.format(provider=provider, **groups) if mend else None,
        code=rule.code,
        provider=provider,
        target=target,
        phase="read",
        retry_after=_hint(rule.kind, headers, document, wall),
        upstream_request_id=_request_id(headers),
        advice=_advice(rule, said, should_retry(headers)),
        detail=detail,
    )
    if rule.client is not None:
        vars(error)["status"] = rule.client  # this one error's; the class keeps its own
    return error


def _rule(said: Said) -> tuple[Rule, dict[str, str]]:
    """Return the first line that fits, and the groups of its text."""
    for rule in TABLE:
        groups = _fit(rule, said)
        if groups is not None:
            return rule, groups
    return (OTHERWISE if said.inside else NO_ANSWER), {}


def _fit(rule: Rule, said: Said) -> dict[str, str] | None:
    if rule.status is not None and said.status not in rule.status:
        return None
    if rule.names is not None and not any(rule.names.fullmatch(name) for name in said.names):
        return None
    if rule.text is None:
        return {}
    found = rule.text.match(said.message)
    return {name: redact(text) for name, text in found.groupdict().items()} if found else None


def _detail(rule: Rule, said: Said) -> str | None:
    """Return what the server said, as far as it may be shown."""
    if rule.kind is UpstreamAuth or not said.message or PAGE.search(said.message):
        return None
    return redact(said.message)


def _message(rule: Rule, said: Said, groups: Mapping[str, str]) -> str:
    """Return our own sentence for a line of the table."""
    shown = [f"HTTP {said.status}"] if said.status else []
    shown += [name for name in said.names if _CODE.fullmatch(name) and not KEY.search(name)][:1]
    sentence = (rule.says or SAYS[rule.kind]).format(**groups)
    return f"{sentence} ({', '.join(shown)})." if shown else f"{sentence}."


def _advice(rule: Rule, said: Said, told: bool | None) -> Advice:
    """Return the class's advice with the line's changes and what ``x-should-retry`` says about this target."""
    advice = msgspec.structs.replace(rule.kind.default_advice, **rule.advice)
    if said.inside and advice.billed == "no":
        advice = msgspec.structs.replace(advice, billed="unknown")
    # No header brings money back: a spent quota is never asked again.
    if told is None or (told and rule.kind is QuotaExhausted):
        return advice
    return msgspec.structs.replace(advice, same=told)


def _hint(kind: type[LocalAgentError], headers: Mapping[str, str], document: Any, wall: float) -> float | None:
    if kind is RateLimited:
        return retry_after(headers, document, wall=wall)
    if kind is QuotaExhausted:
        wait = retry_after(headers, document, wall=wall)
        return wait if wait is not None and wait >= PARKED else None
    return asked_wait(headers, document, wall=wall)


def _request_id(headers: Mapping[str, str]) -> str | None:
    named = {name.lower(): value for name, value in headers.items()}
    return next(filter(None, (clean_header(named.get(name)) for name in _REQUEST_IDS)), None)
