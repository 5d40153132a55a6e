"""The only place where the answer of a model server becomes a typed error.

An answer is read into ``Said``: a status, names (codes and types), a message. The first rule that matches, of the
provider type and then of the core's ``TABLE``, decides the class, and the ``Advice`` if it differs from that of the
class.

Two rules protect against foreign text:

- A server's message may repeat a user's text. So a pattern matches a message from its first character, and no user can
  write the words that park a key for all others. Only rules that concern a single request match further in.
- A server's own sentence is the error's ``detail``, after ``redact``. It is also the message if the user must change
  the request; all other messages are our own, with the server's code. A server's sentence about a wrong key is never
  kept, because it may contain the key. The core drops a detail that repeats the request
  (``localagent.calls.repetition``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from localagent.errors import Advice, LocalAgentError, QuotaExhausted, RateLimited, UpstreamAuth
from localagent.http_answers.answer_shapes import PAGE, Said, document_of, said_in
from localagent.http_answers.error_rules import HINTS, NO_ANSWER, OTHERWISE, PASSED_ON, SAYS, TABLE, ErrorRule
from localagent.http_answers.redaction import KEY_PATTERN, clean_header, redact
from localagent.http_answers.retry_hints import asked_wait, retry_after, should_retry

if TYPE_CHECKING:
    from localagent.records.attempt import Attempt

PARKED = 300.0  # seconds; a shorter hint with a used-up quota belongs to the rate limit and would end the parking

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_REQUEST_IDS = ("x-request-id", "request-id", "x-ms-request-id")


def error_from_answer(
    status: int | None,
    headers: Mapping[str, str],
    body: bytes,
    *,
    provider: str,
    target: str,
    wall_time: float,
    rules: Sequence[ErrorRule] = (),
) -> LocalAgentError:
    """Return the error for an answer; for one with status 200, call it only if it contains an error.

    Args:
        status: The status of the status line; None inside a 200.
        headers: The headers, for hints and the request's id.
        body: The part of the body that was read, or the data of an event; at most 64 KiB of it are used.
        provider: Name of the provider, as configured.
        target: The target, as text.
        wall_time: The current seconds since 1970, for dates in hints.
        rules: The provider type's own rules, which are tried first.
    """
    said = said_in(document_of(body), status)
    rule, groups = _rule(said, rules)
    hint = rule.hint or HINTS.get(rule.kind)
    detail = _detail(rule, said)
    error = rule.kind(
        _message(rule, said, groups) if detail is None or rule.kind not in PASSED_ON else detail,
        hint=hint.format(provider=provider, **groups) if hint else None,
        code=rule.code,
        provider=provider,
        target=target,
        phase="read",
        retry_after=_hint(rule.kind, headers, said.document, wall_time),
        upstream_request_id=_request_id(headers),
        advice=_advice(rule, said, should_retry(headers)),
        detail=detail,
    )
    if rule.client is not None:
        vars(error)["status"] = rule.client  # only for this error; the class keeps its own
    return error


def inner_error(raw: bytes, attempt: Attempt) -> LocalAgentError:
    """Return the error in a body with status 200, or in an event of a stream; also uses the provider type's rules.

    Args:
        raw: The body or the event's data.
        attempt: The attempt that the answer belongs to.
    """
    target = attempt.target
    return error_from_answer(None, {}, raw, provider=target.instance.provider, target=str(target),
                             wall_time=attempt.call.wall_time(), rules=attempt.error_rules)  # fmt: skip


def _rule(said: Said, own: Sequence[ErrorRule]) -> tuple[ErrorRule, dict[str, str]]:
    """Return the first rule that matches, and the groups of its text."""
    for rule in (*own, *TABLE):
        groups = _fit(rule, said)
        if groups is not None:
            return rule, groups
    return (OTHERWISE if said.inside else NO_ANSWER), {}


def _fit(rule: ErrorRule, said: Said) -> dict[str, str] | None:
    fits = said.status != 401 if rule.status is None else said.status in rule.status
    if not fits:
        return None
    if rule.names and not any(map(_pattern(rule.names).fullmatch, said.names)):
        return None
    if rule.body is not None and not rule.body(said.document):
        return None
    found = _pattern(rule.text).match(said.message)
    return {name: redact(text) for name, text in found.groupdict("").items()} if found else None


@functools.cache
def _pattern(source: str) -> re.Pattern[str]:
    """Return a rule's pattern, compiled on demand; few processes ever need one."""
    return re.compile(source, re.IGNORECASE | re.DOTALL)


def _detail(rule: ErrorRule, said: Said) -> str | None:
    """Return the server's own sentence if it may be shown."""
    if rule.kind is UpstreamAuth or said.status == 401 or not said.message or PAGE.search(said.message):
        return None
    return redact(said.message)


def _message(rule: ErrorRule, said: Said, groups: Mapping[str, str]) -> str:
    """Return our own sentence for a rule."""
    shown = [f"HTTP {said.status}"] if said.status else []
    shown += [name for name in said.names if _CODE.fullmatch(name) and not KEY_PATTERN.search(name)][:1]
    sentence = (rule.says or SAYS[rule.kind]).format(**groups)
    return f"{sentence} ({', '.join(shown)})." if shown else f"{sentence}."


def _advice(rule: ErrorRule, said: Said, reported: bool | None) -> Advice:
    """Return the class's advice with the rule's changes and the value of ``x-should-retry`` for this target."""
    advice = msgspec.structs.replace(rule.kind.default_advice, **rule.advice)
    if said.inside and advice.billed == "no":
        advice = msgspec.structs.replace(advice, billed="unknown")
    # A used-up quota is never retried, whatever the header says.
    if reported is None or (reported and rule.kind is QuotaExhausted):
        return advice
    return msgspec.structs.replace(advice, same=reported)


def _hint(kind: type[LocalAgentError], headers: Mapping[str, str], document: Any, wall_time: float) -> float | None:
    if kind not in (RateLimited, QuotaExhausted):
        return asked_wait(headers, document, wall_time=wall_time)
    wait = retry_after(headers, document, wall_time=wall_time)
    return None if kind is QuotaExhausted and (wait or 0.0) < PARKED else wait


def _request_id(headers: Mapping[str, str]) -> str | None:
    named = {name.lower(): value for name, value in headers.items()}
    return next(filter(None, (clean_header(named.get(name)) for name in _REQUEST_IDS)), None)
