"""The one place where what a model server answers becomes a typed error.

An answer is read into what it *said*: a status, names (codes and types), a message. The first line of ``TABLE`` that
fits decides the class, and where an answer calls for other consequences than its class does, the ``Advice``.

Two rules keep strangers out of it:

- What a user writes may come back in a server's message. A pattern of a message therefore matches from its first
  character, so that nobody can write the words that park a key for all others; only lines that concern nobody but
  the request itself look further in.
- Messages of a server are passed on only where the user must mend the request, after ``redact``; everything else is
  said in our own words, with the server's code. What a 401 says is never read: it may show the key.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

import attrs
import msgspec

from localagent.errors import (
    Advice,
    ClientGone,
    ContentFiltered,
    ContextLengthExceeded,
    EmptyResponse,
    InvalidRequest,
    LocalAgentError,
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
from localagent.wire.retry_hints import asked_wait, retry_after, should_retry

LOOKED_AT = 64 * 1024  # bytes of a body; an error that needs more explains nothing
READ = 2000  # characters of a server's message; one that long explains nothing at its end
SHOWN = 300  # characters of a server's message
PARKED = 300.0  # seconds; a shorter hint beside a spent quota is one of the rate limit and would end the parking

# All patterns take time in proportion to the text, whatever it is: none can begin at many places and run far from each.
_PAGE = re.compile(r"(?i)<[/!]?(?:doctype|html|head|body|title|h[1-6]|p|div|span|center|script|style|a|img|br|hr)\b")
_KEY = re.compile(
    r"""(?ix)
      \bbearer\s+\S+ | \bbasic\s+[a-z0-9+/=]{16,}
    | (?<![a-z0-9]) sk[-_][^\s"'`<>(),;]{3,} | sk-[^\s"'`<>(),;]{20,}
    | (?<![a-z0-9]) (?:pk|rk|gsk|csk|hf|xai|pplx|fw|r8|nvapi|tgp|ghp|glpat)[-_][^\s"'`<>(),;]{16,}
    | AIza[\w-]{10,} | \bAKIA[a-z0-9]{12,} | \bya29\.[\w-]+ | \beyJ[\w.-]{16,}
    | \b(?:api[-_ ]?key|secret|password|access[-_ ]?token|authorization)\b(?:\s+provided)?["']?\s*[:=]\s*
      ["']?(?:bearer\s+|basic\s+)?\S+
    """
)
# How the keys of most other providers look: a bare run of letters and digits. An id such as req_... is none.
_LONG = re.compile(r"(?<![A-Za-z0-9_])(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_URL = re.compile(r"""(?i)\b([a-z][a-z0-9+.-]{0,15}://)(?:[^\s/"'<>]*@)?([^\s?#"'<>]*)(?:[?#][^\s"'<>]*)?""")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_REQUEST_IDS = ("x-request-id", "request-id", "x-ms-request-id")


def redact(text: str) -> str:
    """Return a server's text so that it can be shown and logged.

    Keys become ``***``; addresses lose their user and their query; characters that print nothing, move the cursor or
    end a line are written as escapes; what is longer than 300 characters is cut.

    Args:
        text: Any text from outside.
    """
    hidden = _URL.sub(r"\1\2", _LONG.sub("***", _KEY.sub("***", text)))
    shown = "".join(char if char.isprintable() else _escape(char) for char in hidden[: SHOWN + 1])
    return shown if len(shown) <= SHOWN else shown[: SHOWN - 3] + "..."


def clean_header(value: str | None) -> str | None:
    """Return a header's value if it can be shown and logged as it is, else None.

    Args:
        value: The value; dropped when it is empty, longer than 200 characters, looks like a key, or holds control
            characters.
    """
    if not value or len(value) > 200 or not value.isprintable() or _KEY.search(value):
        return None
    return value


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _pattern(source: str | None) -> re.Pattern[str] | None:
    return re.compile(source, re.IGNORECASE | re.DOTALL) if source else None


@attrs.frozen
class Rule:
    """One line of the table. It fits when all that it names fits.

    Attributes:
        kind: The class of the error.
        status: Statuses; None among them stands for an error inside a 200 that names no status.
        names: Pattern of a whole code or type of the server, without case.
        text: Pattern that the server's message begins with, without case.
        code: The error's code, where it is not the class's own.
        client: The status that the client sees, where it is not the class's own.
        says: What the error says instead of the class's sentence; groups of ``text`` may be named in braces.
        mend: What to do, instead of the class's; the same groups, and ``{provider}``.
        advice: Fields of the class's advice that are different here.
    """

    kind: type[LocalAgentError]
    status: Container[int | None] | None = None
    names: re.Pattern[str] | None = attrs.field(default=None, converter=_pattern, kw_only=True)
    text: re.Pattern[str] | None = attrs.field(default=None, converter=_pattern, kw_only=True)
    code: str | None = attrs.field(default=None, kw_only=True)
    client: int | None = attrs.field(default=None, kw_only=True)
    says: str | None = attrs.field(default=None, kw_only=True)
    mend: str | None = attrs.field(default=None, kw_only=True)
    advice: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)


_ELSEWHERE = {"same": False, "next": True}
_WRONG_ADDRESS = Rule(
    UpstreamProtocol,
    says="There is no model server at this address",
    mend="Check the URL of provider '{provider}'.",
    advice={"billed": "no", "breaker": "neutral"},
)
_CONFLICT = Rule(
    UpstreamServerError,
    says="The server is busy with a conflicting request",
    advice={"same": True, "next": False, "billed": "no", "breaker": "neutral"},
)
_TOO_LARGE = Rule(InvalidRequest, code="request_too_large", client=413, says="The request is too large for the server")
_UNSUPPORTED = Rule(InvalidRequest, code="unsupported", advice={"next": True})

TABLE: tuple[Rule, ...] = (
    Rule(UpstreamAuth, {401}),
    # Codes and types that mean one thing at any status.
    Rule(UpstreamAuth, names="invalid_api_key|api_key_invalid|authentication_error|unauthenticated"),
    Rule(UpstreamAuth, {400, 403, None}, text=r"(?:incorrect|invalid|wrong) api.?key|api key not valid"),
    Rule(
        QuotaExhausted,
        names="insufficient_quota|credit_balance_exhausted|project_spend_limit_exceeded|billing_(?:error|not_active)"
        r"|organization_(?!rate)\w+_limit_exceeded|billing_hard_limit_reached|enforced_spend_limit_reached"
        "|insufficient_credits|quota per day",
    ),
    Rule(
        QuotaExhausted,
        {400, 403, 429, None},
        text=r"your credit balance is too low|you have reached your specified (?:\w+ )?api usage limits"
        r"|your [\w ]{1,60}n't have any credits|rate limit exceeded: [\w-]{1,60}-per-day"
        r"|quota exceeded for quota metric .{1,200} per day",
    ),
    Rule(RateLimited, names="slow_down", code="slow_down"),
    Rule(RateLimited, {413}, names="rate_limit_exceeded", advice=_ELSEWHERE),
    Rule(RateLimited, {413, 429}, text="request too large for .{1,200} tokens per min", advice=_ELSEWHERE),
    Rule(
        Overloaded, {503}, text="loading model", says="The server is loading the model", advice={"breaker": "neutral"}
    ),
    Rule(Overloaded, names="overloaded(?:_error)?|server_is_overloaded|engine_overloaded(?:_error)?"),
    Rule(Overloaded, names="(?:service_)?unavailable(?:_error)?"),
    Rule(UpstreamTimeout, names="(?:request_)?timeout(?:_error)?|deadline_exceeded", advice={"same": True}),
    Rule(ContextLengthExceeded, {400, 413, 422, None}, names="context_length_exceeded|exceed_context_size_error"),
    Rule(ContextLengthExceeded, {500}, text="input .{0,200}is too large to process"),
    Rule(
        ContextLengthExceeded,
        {400, 413, 422, 500, None},
        text=r"(?:the )?input length (?:and `?max_tokens`? )?exceeds?(?: the)? (?:maximum )?context (?:length|limit)",
    ),
    Rule(
        ContextLengthExceeded,
        {400, 413, 422, None},
        text=r".{0,300}?(?:maximum context length|context window|available context size|maximum model length"
        r"|prompt is too long|input token count .{1,40} exceeds the maximum|model's context length is"
        r"|max_new_tokens. must be)",
    ),
    Rule(
        ContentFiltered,
        names="content_filter|content_policy_violation|responsibleaipolicyviolation|moderation_blocked|invalid_prompt"
        "|data_inspection_failed",
    ),
    Rule(ContentFiltered, {400, 403, None}, text=".{0,300}?(?:requires moderation|input was flagged)"),
    Rule(ContentFiltered, names="prompt blocked", advice={"billed": "yes"}),
    Rule(
        EmptyResponse,
        names="malformed function call",
        advice={"same": False, "next": False, "billed": "yes", "breaker": "alive"},
    ),
    Rule(EmptyResponse, names="no choices"),
    Rule(EmptyResponse, names="only loaded", advice={"breaker": "failure"}),
    Rule(PermissionDenied, {400}, text="user location is not supported|this organization has been disabled"),
    Rule(
        ModelNotFound,
        {400, 404, None},
        text=r"model ['\"](?P<model>[\w.:/@-]{1,200})['\"] not found",
        mend="Run: ollama pull {model}.",
    ),
    Rule(ModelNotFound, names="model_not_found|invalid_model|deploymentnotfound"),
    Rule(ModelNotFound, {400}, text=r"\S{1,200} is not a valid model id|invalid model\b|model not exist"),
    # Ollama speaks in sentences.
    Rule(Overloaded, {503, None}, text="server busy", advice={**_ELSEWHERE, "breaker": "neutral"}),
    Rule(
        UpstreamServerError,
        {500, None},
        text=r"model requires more system memory \((?P<needs>[\d.]{1,12} [KMGT]?i?B)\)",
        says="The model needs {needs} of memory, more than the server has",
        advice=_ELSEWHERE,
    ),
    Rule(
        UpstreamServerError,
        {500, None},
        text="timed out waiting for|unable to load model|error loading model|model requires more",
        says="The server could not load the model",
        advice=_ELSEWHERE,
    ),
    Rule(
        UpstreamServerError,
        {500, None},
        text="llama runner process|model runner has|an error was encountered while running the model",
        says="The process that ran the model ended",
    ),
    attrs.evolve(_UNSUPPORTED, status={400, None}, text=r".{0,200}?does not support \w{1,40}\Z"),
    attrs.evolve(_UNSUPPORTED, names="not_supported_error|unsupported_operation"),
    # Statuses.
    Rule(EmptyResponse, {204, 205}, advice={"breaker": "failure"}),
    Rule(
        UpstreamProtocol,
        range(300, 400),
        says="The server redirects, and redirects are never followed",
        mend="Check the URL of provider '{provider}'.",
        advice={"billed": "no"},
    ),
    Rule(QuotaExhausted, {402}),
    Rule(PermissionDenied, {403, 451}),
    attrs.evolve(_WRONG_ADDRESS, status={404}, names="html page|unknown_url"),
    attrs.evolve(
        _WRONG_ADDRESS, status={404}, text=r"(?:404 page |file |resource )?not found\.?\Z|invalid url|cannot post "
    ),
    attrs.evolve(_WRONG_ADDRESS, status={405}),
    Rule(ModelNotFound, {404, 410}),
    Rule(UpstreamTimeout, {408}, advice={"same": True}),
    attrs.evolve(_CONFLICT, status={409}),
    attrs.evolve(_TOO_LARGE, status={413}),
    Rule(RateLimited, {429}),
    Rule(ClientGone, {499}),
    Rule(InvalidRequest, range(400, 500)),
    attrs.evolve(_UNSUPPORTED, status={501}),
    Rule(Overloaded, {503, 529}),
    Rule(UpstreamServerError, range(500, 600)),
    # Types that are vaguer than a status, and read only where no status is.
    Rule(RateLimited, {None}, names="rate_limit_(?:error|exceeded)|resource_exhausted|too_many_requests"),
    Rule(
        PermissionDenied,
        {None},
        names="permission_error|permission_denied|forbidden|unsupported_country_region_territory",
    ),
    attrs.evolve(_TOO_LARGE, status={None}, names="request_too_large"),
    Rule(ModelNotFound, {None}, names="not_found_error|not_found|notfounderror"),
    attrs.evolve(_CONFLICT, status={None}, names="conflict_error"),
    Rule(
        InvalidRequest,
        {None},
        names="invalid_request(?:_error)?|invalid_argument|failed_precondition|bad_?request(?:_?error)?"
        "|validation(?:_error)?",
    ),
)
_OTHERWISE = Rule(UpstreamServerError)
_NO_ANSWER = Rule(UpstreamProtocol)

_SAYS: Mapping[type[LocalAgentError], str] = {
    UpstreamAuth: "The provider does not accept the key",
    PermissionDenied: "The key may not do this",
    QuotaExhausted: "No money or no quota is left",
    RateLimited: "The provider asks to go slower",
    Overloaded: "The server has no capacity now",
    UpstreamServerError: "The server failed",
    UpstreamTimeout: "The server took too long",
    UpstreamProtocol: "What came back is not the answer of a model server",
    EmptyResponse: "The answer holds no content",
    ContentFiltered: "A content policy refused the request",
    ContextLengthExceeded: "The prompt is longer than the model's window",
    ModelNotFound: "The server does not have the model",
    InvalidRequest: "The server refused the request as wrong",
    ClientGone: "The request was cancelled",
}
_MENDS: Mapping[type[LocalAgentError], str] = {
    UpstreamAuth: "Check the key of provider '{provider}', in the settings or in the environment.",
    PermissionDenied: "Check what the key of provider '{provider}' may do.",
    QuotaExhausted: "Check the plan and the billing of provider '{provider}'.",
    ContextLengthExceeded: "Shorten the conversation, or use a model with a larger window.",
    ModelNotFound: "Check the model's name at provider '{provider}'.",
}
_STATUSES: Mapping[str | int, int] = {form: status for status in range(400, 600) for form in (status, str(status))}
_PASSED_ON = (InvalidRequest, ContextLengthExceeded, ModelNotFound)


class Said(msgspec.Struct, frozen=True):
    """What an answer said, in whatever shape.

    Attributes:
        status: The status; inside a 200 the server's numeric code, or None.
        names: Codes and types, the most telling first.
        message: The server's message, as it came.
        inside: Whether this came inside a 200: then nobody knows what the provider charges.
    """

    status: int | None
    names: tuple[str, ...]
    message: str
    inside: bool


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
    document = _document(body)
    part = _part(document)
    said = Said(status, tuple(_names(part)), _sentence(part), inside=False)
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
    part = _part(document)
    names = (*_names(part), *_unanswered(document))
    said = Said(_inner_status(part), names, _sentence(part), inside=True)
    return _error(said, headers or {}, document, provider=provider, target=target, wall=wall)


def _error(
    said: Said, headers: Mapping[str, str], document: Any, *, provider: str, target: str, wall: float
) -> LocalAgentError:
    rule, groups = _rule(said)
    mend = rule.mend or _MENDS.get(rule.kind)
    error = rule.kind(
        _message(rule, said, groups),
        mend=mend.format(provider=provider, **groups) if mend else None,
        code=rule.code,
        provider=provider,
        target=target,
        phase="read",
        retry_after=_hint(rule.kind, headers, document, wall),
        upstream_request_id=_request_id(headers),
        advice=_advice(rule, said, should_retry(headers)),
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
    return (_OTHERWISE if said.inside else _NO_ANSWER), {}


def _fit(rule: Rule, said: Said) -> dict[str, str] | None:
    if rule.status is not None and said.status not in rule.status:
        return None
    if rule.names is not None and not any(rule.names.fullmatch(name) for name in said.names):
        return None
    if rule.text is None:
        return {}
    found = rule.text.match(said.message)
    return {name: redact(text) for name, text in found.groupdict().items()} if found else None


def _message(rule: Rule, said: Said, groups: Mapping[str, str]) -> str:
    if rule.kind in _PASSED_ON and said.message and not _PAGE.search(said.message):
        return redact(said.message)
    shown = [f"HTTP {said.status}"] if said.status else []
    shown += [name for name in said.names if _CODE.fullmatch(name) and not _KEY.search(name)][:1]
    sentence = (rule.says or _SAYS[rule.kind]).format(**groups)
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


def _document(body: bytes) -> Any:
    """Decode a body; what is no JSON becomes a document of the same meaning. Never raises."""
    head = bytes(body[:LOOKED_AT]).removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(head)
    except (
        msgspec.MsgspecError,
        ValueError,
        RecursionError,
    ):  # no JSON, no UTF-8, NaN, a number too long; nested too deep
        text = head.decode("utf-8", "replace").strip()
    if _PAGE.search(text):
        return {"code": "html page"}
    # A sentence in plain text is a message; what is longer, or was to be JSON, explains nothing.
    return {"message": text} if text[:1] not in "{[<" and len(text) <= 1000 else {}


def _part(document: Any) -> dict[str, Any]:
    """Return the object that tells about the error, whichever shape it has."""
    if isinstance(document, list):  # Gemini answers a stream's error with an array
        document = document[0] if document else None
    if isinstance(document, str):
        return {"message": document}
    if not isinstance(document, dict):
        return {}
    response = document.get("response")  # OpenAI's response.failed
    error = response.get("error") if isinstance(response, dict) else document.get("error")
    if isinstance(error, dict):
        return error
    return {**document, "message": error} if isinstance(error, str) else document


def _names(part: dict[str, Any]) -> Iterator[str]:
    details = _dicts(part.get("details"))
    inner = _dicts(part.get("innererror"))
    for holder in (part, *details, *inner):
        for key in ("error_code", "code", "type", "error_type", "status", "reason"):
            value = holder.get(key)
            if isinstance(value, str) and value:
                yield value.lower()
    if any("PerDay" in limit for limit in _limits(details)):
        yield "quota per day"


def _limits(details: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the names of the quotas that Gemini says are spent."""
    for detail in details:
        quotas = [entry.get("quotaId") for entry in _dicts(detail.get("violations"))]
        quotas += [entry.get("quota_limit") for entry in _dicts(detail.get("metadata"))]
        yield from (quota for quota in quotas if isinstance(quota, str))


def _unanswered(document: Any) -> Iterator[str]:
    """Yield our own names, which hold a space and are never shown, for how an answer can end without one."""
    for whole in _dicts(document):
        if any(feedback.get("blockReason") for feedback in _dicts(whole.get("promptFeedback"))):
            yield "prompt blocked"
        if any(one.get("finishReason") == "MALFORMED_FUNCTION_CALL" for one in _dicts(whole.get("candidates"))):
            yield "malformed function call"
        if whole.get("choices") == []:
            yield "no choices"
        if whole.get("done_reason") == "load":
            yield "only loaded"


def _inner_status(part: dict[str, Any]) -> int | None:
    """Return a numeric code of the server that is an HTTP status of failure, as OpenRouter and Gemini send it."""
    codes = (_STATUSES.get(value) for value in (part.get("code"), part.get("status")) if isinstance(value, str | int))
    return next(filter(None, codes), None)


def _sentence(part: dict[str, Any]) -> str:
    for key in ("message", "detail", "msg"):
        value = part.get(key)
        if isinstance(value, dict):  # Mistral: {"message": {"detail": [...]}}
            value = value.get("detail") or value.get("message")
        if isinstance(value, list):
            value = "; ".join(filter(None, map(_complaint, value[:5])))
        if isinstance(value, str) and value:
            return value if len(value) <= READ else value[:READ].rpartition(" ")[0]  # no half of a key
    return ""


def _complaint(entry: Any) -> str:
    """Return where and what, of one entry of a validation error; never the ``input``, which is the user's."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    where, what = entry.get("loc"), entry.get("msg")
    steps = where if isinstance(where, list) else []
    path = ".".join(
        str(step) for step in steps if isinstance(step, str) or (isinstance(step, int) and abs(step) < 10**6)
    )
    return f"{path}: {what}" if isinstance(what, str) else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    entries = value[:16] if isinstance(value, list) else [value]  # no server needs more to say what is wrong
    return [entry for entry in entries if isinstance(entry, dict)]
