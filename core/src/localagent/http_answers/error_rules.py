"""The rules that map an answer to an error, and the sentences of these errors.

This module has the statuses, and the codes, types and sentences that several kinds of servers share. Those of a single
vendor are in ``ProviderType.error_rules`` of its provider.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
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


@attrs.frozen
class ErrorRule:
    r"""Maps answers of a model server to an error; it matches when all its conditions match.

    The first rule that matches decides: those of the provider type in their order, then the core's. Patterns are
    case-insensitive regular expressions, whose dot also matches line ends. A server's message may repeat a user's text:
    let ``text`` match beyond the beginning only for errors that affect no request but the user's own.

    ::

        ErrorRule(QuotaExhausted, {402, 429}, names="credits_spent")
        ErrorRule(ModelNotFound, {400}, text="no berth for (?P<model>\S+)", hint="Run: harbour fetch {model}.")

    Attributes:
        kind: The class of the error.
        status: Statuses; None among them means an error inside a 200 that names no status. Without it, all except
            401, which is about the key unless a rule says otherwise.
        names: Pattern of a whole code or type that the answer names.
        text: Pattern at the beginning of the server's message.
        body: Returns whether the rule matches a decoded body; must not raise, whatever the body is.
        code: The error's code, instead of that of the class.
        client: The status that the client sees, instead of that of the class.
        says: The error's sentence, instead of that of the class; groups of ``text`` may be named in braces.
        hint: What to do, instead of the hint of the class; may name the same groups, and ``{provider}``.
        advice: Fields that differ from the ``Advice`` of the class.
    """

    kind: type[LocalAgentError]
    status: Container[int | None] | None = None
    names: str = attrs.field(default="", kw_only=True)
    text: str = attrs.field(default="", kw_only=True)
    body: Callable[[Any], bool] | None = attrs.field(default=None, kw_only=True)
    code: str | None = attrs.field(default=None, kw_only=True)
    client: int | None = attrs.field(default=None, kw_only=True)
    says: str | None = attrs.field(default=None, kw_only=True)
    hint: str | None = attrs.field(default=None, kw_only=True)
    advice: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)


_WRONG_ADDRESS = ErrorRule(
    UpstreamProtocol,
    says="No model server answers at this address",
    hint="Check the URL of provider '{provider}'.",
    advice={"billed": "no", "breaker": "neutral"},
)
_CONFLICT = ErrorRule(
    UpstreamServerError,
    says="The server is busy with a conflicting request",
    advice={"same": True, "next": False, "billed": "no", "breaker": "neutral"},
)
# Not the user's fault: the route of the request, its connection, its framing, the headers that LocalAgent sends.
_OUR_FORM = attrs.evolve(_WRONG_ADDRESS, says="The server does not accept the HTTP form of the request")
_AGAIN = attrs.evolve(
    _CONFLICT, says="The server asks to send the request again", advice={**_CONFLICT.advice, "next": True}
)
_TOO_LARGE = ErrorRule(
    InvalidRequest, code="request_too_large", client=413, says="The request is too large for the server"
)
_UNSUPPORTED = ErrorRule(InvalidRequest, code="unsupported", advice={"next": True})
# What servers answer with a 500 although only the request is wrong. These patterns may match inside a message: such
# words affect no request but that of the user who writes them.
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
    r"|does not support \w{1,40}\.?\Z)"
)
_UNREADABLE = (
    r"(?:failed|unable|could not|cannot|can't) (?:to )?(?:parse|convert|compile|decode|load|identify|process|open) "
    r"(?:the |an? |input |provided |supplied )?(?:grammar|messages?|json[ _]schema|schema|tools?|tool definitions?"
    r"|images?|audio|videos?|base64|data url)"
)
_INVALID = (
    r"(?:invalid|illegal|unknown|corrupt(?:ed)?|malformed|bad) (?:json[ _]schema|schema in|grammar|image|audio|base64"
    r"|data url|tool)|json schema (?:conversion|error)"
)
_TEMPLATE = (
    r"conversation roles must|only user and assistant roles|param(?:eter)? requires|roles must alternate"
    r"|(?:template|jinja) (?:exception|error)"
)

TABLE: tuple[ErrorRule, ...] = (
    # Codes and types that mean the same at any status, and sentences that many servers share.
    ErrorRule(UpstreamAuth, names="invalid_api_key|authentication_error"),
    ErrorRule(UpstreamAuth, {400, 403, None}, text=r"(?:incorrect|invalid|wrong) api.?key|api key not valid"),
    ErrorRule(QuotaExhausted, names="insufficient_quota"),
    ErrorRule(Overloaded, names="overloaded(?:_error)?|(?:service_)?unavailable(?:_error)?"),
    ErrorRule(UpstreamTimeout, names="(?:request_)?timeout(?:_error)?", advice={"same": True}),
    ErrorRule(ContextLengthExceeded, {400, 413, 422, None}, names="context_length_exceeded"),
    ErrorRule(
        ContextLengthExceeded,
        {400, 413, 422, None},
        text=".{0,300}?(?:maximum context length|context window|available context size)",
    ),
    ErrorRule(ContentFiltered, names="content_filter|content_policy_violation"),
    ErrorRule(ModelNotFound, names="model_not_found"),
    attrs.evolve(_UNSUPPORTED, status={400, 404, 415, 422, 500, 501, None}, text=_MISSING_FEATURE),
    ErrorRule(
        InvalidRequest,
        {500, 501, None},
        text=rf".{{0,200}}?\b(?:{_UNREADABLE}|{_INVALID}|{_TEMPLATE})\b",
        advice={"next": True},
    ),
    # Statuses.
    ErrorRule(UpstreamAuth, {401}),
    ErrorRule(EmptyResponse, {204, 205}, advice={"breaker": "failure"}),
    ErrorRule(
        UpstreamProtocol,
        range(300, 400),
        says="The server redirects the request, and redirects are not followed",
        hint="Check the URL of provider '{provider}'.",
        advice={"billed": "no"},
    ),
    ErrorRule(QuotaExhausted, {402}),
    ErrorRule(PermissionDenied, {403, 451}),
    attrs.evolve(_WRONG_ADDRESS, status={404}, names="html page|unknown_url"),
    attrs.evolve(
        _WRONG_ADDRESS, status={404}, text=r"(?:404 page |file |resource )?not found\.?\Z|invalid url|cannot post "
    ),
    attrs.evolve(_WRONG_ADDRESS, status={405}),
    ErrorRule(ModelNotFound, {404, 410}),
    ErrorRule(UpstreamTimeout, {408}, advice={"same": True}),
    attrs.evolve(_OUR_FORM, status={407}, says="A proxy asks for credentials", hint="Check the proxy of '{provider}'."),
    attrs.evolve(_AGAIN, status={421}, says="The request reached a server that is not responsible for this address"),
    attrs.evolve(_AGAIN, status={425}),
    # Accept, framing, conditions, ranges, expectations, upgrades and headers; from 494 on nginx's own, about TLS.
    attrs.evolve(_OUR_FORM, status={406, 411, 412, 414, 416, 417, 426, 428, 431, 494, 495, 496, 497}),
    attrs.evolve(_CONFLICT, status={409, 423}),
    ErrorRule(UpstreamServerError, {424}),  # a service that the server depends on failed
    attrs.evolve(_TOO_LARGE, status={413}),
    ErrorRule(RateLimited, {429}),
    ErrorRule(ClientGone, {499}),
    ErrorRule(InvalidRequest, range(400, 500)),
    attrs.evolve(_UNSUPPORTED, status={501}),
    ErrorRule(Overloaded, {503, 529}),
    ErrorRule(UpstreamServerError, range(500, 600)),
    # Types that are less specific than a status, and are used only without a status.
    ErrorRule(RateLimited, {None}, names="rate_limit_(?:error|exceeded)|too_many_requests"),
    ErrorRule(PermissionDenied, {None}, names="permission_error|forbidden"),
    attrs.evolve(_TOO_LARGE, status={None}, names="request_too_large"),
    ErrorRule(ModelNotFound, {None}, names="not_found(?:_error)?"),
    attrs.evolve(_CONFLICT, status={None}, names="conflict_error"),
    ErrorRule(InvalidRequest, {None}, names="(?:invalid_|bad_)request(?:_error)?|validation(?:_error)?"),
)
OTHERWISE = ErrorRule(UpstreamServerError)
NO_ANSWER = ErrorRule(UpstreamProtocol)

SAYS: Mapping[type[LocalAgentError], str] = {
    UpstreamAuth: "The provider does not accept the key",
    PermissionDenied: "The key does not have the permission for this request",
    QuotaExhausted: "No money or quota is left",
    RateLimited: "The provider asks for fewer requests",
    Overloaded: "The server has no capacity now",
    UpstreamServerError: "The server failed",
    UpstreamTimeout: "The server took too long",
    UpstreamProtocol: "The response is not the answer of a model server",
    EmptyResponse: "The answer has no content",
    ContentFiltered: "A content policy refused the request",
    ContextLengthExceeded: "The prompt is longer than the model's window",
    ModelNotFound: "The server does not have the model",
    InvalidRequest: "The server rejected the request as invalid",
    ClientGone: "The request was cancelled",
}
HINTS: Mapping[type[LocalAgentError], str] = {
    UpstreamAuth: "Check the key of provider '{provider}', in the settings or in the environment.",
    PermissionDenied: "Check the permissions of the key of provider '{provider}'.",
    QuotaExhausted: "Check the plan and the billing of provider '{provider}'.",
    ContextLengthExceeded: "Shorten the conversation, or use a model with a larger window.",
    ModelNotFound: "Check the model's name at provider '{provider}'.",
}
PASSED_ON = (InvalidRequest, ContextLengthExceeded, ModelNotFound)
