"""Rules for the error codes, types and messages of servers with an OpenAI-compatible API.

The type ``openai`` is used for OpenAI and Azure, for routers (OpenRouter) and other vendors' compatible APIs
(Anthropic, Gemini, Mistral, DeepSeek, Groq, Moonshot, xAI), and for self-hosted servers (vLLM, TGI, llama.cpp,
Ollama). Rules that apply to many of them are in the core.
"""

from __future__ import annotations

from typing import Any

from localagent.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    UpstreamAuth,
    UpstreamServerError,
    UpstreamTimeout,
)
from localagent.http_answers import ErrorRule

ELSEWHERE = {"same": False, "next": True}
WRONG = {400, 413, 422, None}


def is_quota_per_day(body: Any) -> bool:
    """Return whether a body is Gemini's error for a used-up daily quota: waiting a minute does not help."""
    if isinstance(body, list):  # Gemini's answer to a request for a stream
        body = body[0] if body else None
    error = body.get("error") if isinstance(body, dict) else None
    details = _dicts(error.get("details") if isinstance(error, dict) else None)
    named = [entry.get("quotaId") for detail in details for entry in _dicts(detail.get("violations"))]
    named += [entry.get("quota_limit") for detail in details for entry in _dicts(detail.get("metadata"))]
    return any(isinstance(name, str) and "PerDay" in name for name in named)


def _dicts(value: Any) -> list[dict[str, Any]]:
    entries = value[:16] if isinstance(value, list) else [value]
    return [entry for entry in entries if isinstance(entry, dict)]


_VENDORS = (
    ErrorRule(UpstreamAuth, names="api_key_invalid|unauthenticated"),
    ErrorRule(
        QuotaExhausted,
        names="credit_balance_exhausted|project_spend_limit_exceeded|billing_(?:error|not_active)"
        r"|organization_(?!rate)\w+_limit_exceeded|billing_hard_limit_reached|enforced_spend_limit_reached"
        "|insufficient_credits",
    ),
    ErrorRule(QuotaExhausted, body=is_quota_per_day),
    ErrorRule(
        QuotaExhausted,
        {400, 403, 429, None},
        text=r"your credit balance is too low|you have reached your specified (?:\w+ )?api usage limits"
        r"|your [\w ]{1,60}n't have any credits|rate limit exceeded: [\w-]{1,60}-per-day"
        r"|quota exceeded for quota metric .{1,200} per day",
    ),
    ErrorRule(RateLimited, names="slow_down", code="slow_down"),
    ErrorRule(RateLimited, {413}, names="rate_limit_exceeded", advice=ELSEWHERE),
    ErrorRule(RateLimited, {413, 429}, text="request too large for .{1,200} tokens per min", advice=ELSEWHERE),
    ErrorRule(Overloaded, names="server_is_overloaded|engine_overloaded(?:_error)?"),
    ErrorRule(UpstreamTimeout, names="deadline_exceeded", advice={"same": True}),
    ErrorRule(
        ContextLengthExceeded,
        {*WRONG, 500},
        text=r"(?:the )?input length (?:and `?max_tokens`? )?exceeds?(?: the)? (?:maximum )?context (?:length|limit)",
    ),
    ErrorRule(
        ContextLengthExceeded,
        WRONG,
        text=r".{0,300}?(?:maximum model length|prompt is too long|input token count .{1,40} exceeds the maximum"
        r"|model's context length is|max_new_tokens. must be)",
    ),
    ErrorRule(
        ContentFiltered,
        names="responsibleaipolicyviolation|moderation_blocked|invalid_prompt|data_inspection_failed",
    ),
    ErrorRule(ContentFiltered, {400, 403, None}, text=".{0,300}?(?:requires moderation|input was flagged)"),
    ErrorRule(PermissionDenied, {400}, text="user location is not supported|this organization has been disabled"),
    ErrorRule(ModelNotFound, names="invalid_model|deploymentnotfound"),
    ErrorRule(ModelNotFound, {400}, text=r"\S{1,200} is not a valid model id|invalid model\b|model not exist"),
    ErrorRule(
        InvalidRequest,
        {400, 404, 415, 422, 500, 501, None},
        text=".{0,200}?(?:no endpoints found that support|missing data required for )",
        code="unsupported",
        advice={"next": True},
    ),
    ErrorRule(InvalidRequest, names="unsupported_operation", code="unsupported", advice={"next": True}),
    # Types that are vaguer than a status, used only when there is no status.
    ErrorRule(RateLimited, {None}, names="resource_exhausted"),
    ErrorRule(PermissionDenied, {None}, names="permission_denied|unsupported_country_region_territory"),
    ErrorRule(ModelNotFound, {None}, names="notfounderror"),
    ErrorRule(InvalidRequest, {None}, names="invalid_argument|failed_precondition|badrequest(?:_?error)?"),
)

_LLAMA_CPP = (
    ErrorRule(
        Overloaded, {503}, text="loading model", says="The server is loading the model", advice={"breaker": "neutral"}
    ),
    ErrorRule(ContextLengthExceeded, WRONG, names="exceed_context_size_error"),
    ErrorRule(ContextLengthExceeded, {500}, text="input .{0,200}is too large to process"),
    ErrorRule(InvalidRequest, names="not_supported_error", code="unsupported", advice={"next": True}),
)

_OLLAMA = (
    ErrorRule(
        ModelNotFound,
        {400, 404, None},
        text=r"model ['\"](?P<model>[\w.:/@-]{1,200})['\"] not found",
        hint="Run: ollama pull {model}.",
    ),
    ErrorRule(Overloaded, {503, None}, text="server busy", advice={**ELSEWHERE, "breaker": "neutral"}),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text=r"model requires more system memory \((?P<needs>[\d.]{1,12} [KMGT]?i?B)\)",
        says="The model needs {needs} of memory, more than the server has",
        advice=ELSEWHERE,
    ),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text="timed out waiting for|unable to load model|error loading model|model requires more",
        says="The server could not load the model",
        advice=ELSEWHERE,
    ),
    ErrorRule(
        UpstreamServerError,
        {500, None},
        text="llama runner process|model runner has|an error was encountered while running the model",
        says="The process that ran the model ended",
    ),
    ErrorRule(InvalidRequest, {500, 501, None}, text=r".{0,200}?\bimage: unknown format\b", advice={"next": True}),
)

RULES = (*_VENDORS, *_LLAMA_CPP, *_OLLAMA)
