"""The table that says which error an answer is, and the sentences that errors are made of."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

import attrs

from localagent.errors import (
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
# What servers answer with a 500 although only the request is wrong. These lines may look into the middle of a message:
# whoever writes such words harms no request but their own.
_FEATURE = (
    r"(?:images?|audio|videos?|vision|multi-?modal\w*|files?|documents?|tools?|tool[ _](?:choice|use|calls?)|functions?"
    r"|function calling|system (?:role|messages?|prompt)|embeddings?|rerank\w*|log_?probs|response_format|json_schema"
    r"|structured outputs?|grammars?|schemas?|reasoning\w*|thinking|streaming|chat|completions?|insert|prefill"
    r"|parameters?|params?|inputs?|content types?|roles?)"
)
_IS_UNSUPPORTED = r"(?:(?:is|are|was) )?(?:currently )?(?:not|un)(?: currently| yet)? ?support"
_LACKS = r"(?:(?:does not|do not|doesn't|don't|cannot|can't|not currently) support|unsupported)"
_MISSING_FEATURE = (
    rf".{{0,200}}?(?:\b{_FEATURE}\b.{{0,40}}? {_IS_UNSUPPORTED}|{_LACKS} .{{0,30}}?\b{_FEATURE}\b"
    rf"|does not support \w{{1,40}}\.?\Z|no endpoints found that support|missing data required for {_FEATURE})"
)
_UNREADABLE = (
    r"(?:failed|unable|could not|cannot|can't) (?:to )?(?:parse|convert|compile|decode|load|identify|process|open) "
    r"(?:the |an? |input |provided |supplied )?(?:grammar|messages?|json[ _]schema|schema|tools?|tool definitions?"
    r"|images?|audio|videos?|base64|data url)"
)
_INVALID = (
    r"(?:invalid|illegal|unknown|corrupt(?:ed)?|malformed|bad) (?:json[ _]schema|schema in|grammar|image|audio|base64"
    r"|data url|tool)|json schema (?:conversion|error)|image: unknown format"
)
_TEMPLATE = (
    r"conversation roles must|only user and assistant roles|param(?:eter)? requires|roles must alternate"
    r"|(?:template|jinja) (?:exception|error)"
)

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
    attrs.evolve(_UNSUPPORTED, status={400, 404, 415, 422, 500, 501, None}, text=_MISSING_FEATURE),
    Rule(
        InvalidRequest,
        {500, 501, None},
        text=rf".{{0,200}}?\b(?:{_UNREADABLE}|{_INVALID}|{_TEMPLATE})\b",
        advice={"next": True},
    ),
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
OTHERWISE = Rule(UpstreamServerError)
NO_ANSWER = Rule(UpstreamProtocol)

SAYS: Mapping[type[LocalAgentError], str] = {
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
MENDS: Mapping[type[LocalAgentError], str] = {
    UpstreamAuth: "Check the key of provider '{provider}', in the settings or in the environment.",
    PermissionDenied: "Check what the key of provider '{provider}' may do.",
    QuotaExhausted: "Check the plan and the billing of provider '{provider}'.",
    ContextLengthExceeded: "Shorten the conversation, or use a model with a larger window.",
    ModelNotFound: "Check the model's name at provider '{provider}'.",
}
PASSED_ON = (InvalidRequest, ContextLengthExceeded, ModelNotFound)
