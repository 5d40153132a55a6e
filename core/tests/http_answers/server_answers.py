"""What model servers answer when something goes wrong, each with the error that it must become.

The ids of the cases are those of the table of faults that the project promises to handle (F: a fault upstream).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
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
from localagent.http_answers.translation import error_from_answer, error_from_document

WALL = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
TARGET = "openai/gpt-5-mini at openai@api.openai.com"
PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></body></html>"
KEY = "sk-canary-7d1f0e9c8b2a4455"


Case = Callable[[], LocalAgentError]


def answer(status: int, body: Any = b"", **headers: str) -> Case:
    """Return what translates an answer; a body that is no bytes is sent as JSON, ``_`` in names of headers is ``-``."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(error_from_answer, status, named, raw, provider="openai", target=TARGET, wall=WALL)


def inside(document: Any, **headers: str) -> Case:
    """Return what translates a document that came inside a 200."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return partial(error_from_document, document, provider="openai", target=TARGET, wall=WALL, headers=named)


def openai(message: str = "No.", **fields: Any) -> dict[str, Any]:
    """Return an error in OpenAI's shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}


def anthropic(kind: str, message: str = "No.", **fields: Any) -> dict[str, Any]:
    """Return an error in Anthropic's shape."""
    return {"type": "error", "error": {"type": kind, "message": message, **fields}, "request_id": "req_1"}


def gemini(code: int, status: str, message: str = "No.", *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error in Gemini's shape."""
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}


@attrs.frozen
class Expected:
    """What an error must be: its class, what follows, and what a client sees."""

    kind: type[LocalAgentError]
    retry: str  # "same", "next", "same next" or "none"
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


def after(expected: Expected, seconds: float) -> Expected:
    """Return the same with a hint."""
    return attrs.evolve(expected, retry_after=seconds)


def unknown(expected: Expected) -> Expected:
    """Return the same where nobody knows what was charged."""
    return attrs.evolve(expected, billed="unknown")


ANSWERS: dict[str, tuple[Case, Expected]] = {
    "F1 OpenAI": (answer(401, openai(f"Incorrect API key provided: {KEY}", code="invalid_api_key")), AUTH),
    "F1 Anthropic": (answer(401, anthropic("authentication_error", "invalid x-api-key")), AUTH),
    "F1 Gemini": (
        answer(400, gemini(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})),
        AUTH,
    ),
    "F1 xAI": (answer(400, {"code": "invalid argument", "error": "Incorrect API key provided: xa***89"}), AUTH),
    "F2 network": (answer(401, openai("Your request originated from an IP that is not authorized.")), AUTH),
    "F2 member": (answer(401, openai("You must be a member of an organization to use the API")), AUTH),
    "F3": (answer(403, openai(code="unsupported_country_region_territory", type="request_forbidden")), DENIED),
    "F3 Anthropic": (answer(403, anthropic("permission_error")), DENIED),
    "F3 Gemini": (
        answer(400, gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API")),
        DENIED,
    ),
    "F4": (answer(404, openai("The model 'gpt-9' does not exist", code="model_not_found")), NOT_FOUND),
    "F4 Anthropic": (answer(404, anthropic("not_found_error", "model: claude-9")), NOT_FOUND),
    "F4 Gemini": (answer(404, gemini(404, "NOT_FOUND", "models/gemini-9 is not found for API version")), NOT_FOUND),
    "F4 OpenRouter": (answer(400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}), NOT_FOUND),
    "F4 nothing said": (answer(404), NOT_FOUND),
    "F4 gone": (answer(410, openai("This model was retired")), NOT_FOUND),
    "F4 wrong address, Go": (answer(404, b"404 page not found"), WRONG_ADDRESS),
    "F4 wrong address, FastAPI": (answer(404, {"detail": "Not Found"}), WRONG_ADDRESS),
    "F4 wrong address, OpenAI": (answer(404, openai("Invalid URL (POST /chat)", code="unknown_url")), WRONG_ADDRESS),
    "F4 wrong address, page": (answer(404, PAGE), WRONG_ADDRESS),
    "F4 wrong method": (answer(405, {"detail": "Method Not Allowed"}), WRONG_ADDRESS),
    "F5": (answer(400, openai("Invalid value for 'temperature'", param="temperature")), INVALID),
    "F5 Anthropic": (answer(400, anthropic("invalid_request_error", "max_tokens: Field required")), INVALID),
    "F5 empty": (answer(400), INVALID),
    "F5 odd status": (answer(418, b"teapot"), INVALID),
    "F6": (
        answer(400, openai("This model's maximum context length is 8192 tokens", code="context_length_exceeded")),
        TOO_LONG,
    ),
    "F6 vLLM": (
        answer(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens. However,",
                "type": "BadRequestError",
                "code": 400,
            },
        ),
        TOO_LONG,
    ),
    "F6 Anthropic": (
        answer(400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        TOO_LONG,
    ),
    "F6 Anthropic, sum": (
        answer(400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 9 + 1")),
        TOO_LONG,
    ),
    "F6 Gemini": (
        answer(400, gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens")),
        TOO_LONG,
    ),
    "F6 llama.cpp": (
        answer(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request (9 tokens) exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            },
        ),
        TOO_LONG,
    ),
    "F7": (answer(400, openai(code="content_policy_violation")), FILTERED),
    "F7 Azure": (
        answer(400, openai(code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})),
        FILTERED,
    ),
    "F7 OpenRouter": (
        answer(403, {"error": {"code": 403, "message": "x requires moderation on y. Your input was flagged"}}),
        FILTERED,
    ),
    "F8": (
        answer(400, anthropic("invalid_request_error", "You have reached your specified workspace API usage limits.")),
        QUOTA,
    ),
    "F8 balance": (
        answer(400, anthropic("invalid_request_error", "Your credit balance is too low to access the API.")),
        QUOTA,
    ),
    "F9 Anthropic": (answer(402, anthropic("billing_error")), QUOTA),
    "F9 OpenRouter": (answer(402, {"error": {"code": 402, "message": "This request requires more credits"}}), QUOTA),
    "F9 page": (answer(402, PAGE), QUOTA),
    "F10": (answer(408, openai("Request timed out.")), TIMEOUT),
    "F10 Gemini": (answer(504, gemini(504, "DEADLINE_EXCEEDED")), TIMEOUT),
    "F11": (answer(409, anthropic("conflict_error")), CONFLICT),
    "F12": (answer(413, anthropic("request_too_large", "Request exceeds the maximum size")), TOO_LARGE),
    "F12 page": (answer(413, PAGE), TOO_LARGE),
    "F13": (
        answer(422, {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "input": "x"}]}),
        INVALID,
    ),
    "F13 Mistral": (
        answer(422, {"object": "error", "message": {"detail": [{"loc": ["top_p"], "msg": "too big"}]}}),
        INVALID,
    ),
    "F14": (answer(429, openai(code="rate_limit_exceeded", type="requests"), retry_after="1"), after(LIMITED, 1.0)),
    "F14 Groq": (
        answer(413, openai("Request too large for model `x`", code="rate_limit_exceeded", type="tokens")),
        attrs.evolve(LIMITED, retry="next"),
    ),
    "F14 OpenAI": (
        answer(429, openai("Request too large for gpt-5 in org on tokens per min (TPM): Limit 1, Requested 2")),
        attrs.evolve(LIMITED, retry="next"),
    ),
    "F15 minutes": (answer(429, openai(), x_ratelimit_reset_tokens="6m0s"), after(LIMITED, 360.0)),
    "F15 seconds": (answer(429, openai(), x_ratelimit_reset_tokens="1.2s"), after(LIMITED, 1.2)),
    "F15 milliseconds": (answer(429, openai(), x_ratelimit_reset_tokens="20ms"), after(LIMITED, 0.02)),
    "F16": (answer(429, openai(), retry_after_ms="350", retry_after="1"), after(LIMITED, 0.35)),
    "F17 past": (answer(429, openai(), retry_after="Wed, 21 Oct 2026 07:27:00 GMT"), LIMITED),
    "F17 future": (answer(429, openai(), retry_after="Wed, 21 Oct 2026 07:28:09 GMT"), after(LIMITED, 9.0)),
    "F18 long": (answer(429, openai(), retry_after="3600"), after(LIMITED, 3600.0)),
    "F18 nan": (answer(429, openai(), retry_after="nan"), LIMITED),
    "F18 negative": (answer(429, openai(), retry_after="-1"), LIMITED),
    "F18 huge": (answer(429, openai(), retry_after="1e309"), LIMITED),
    "F18 empty": (answer(429, openai(), retry_after=""), LIMITED),
    "F18 text": (answer(429, openai(), retry_after="later"), LIMITED),
    "F19": (answer(429, openai(type="insufficient_quota", code="insufficient_quota")), QUOTA),
    "F19 balance": (answer(429, openai(code="credit_balance_exhausted")), QUOTA),
    "F19 project": (answer(429, openai(code="project_spend_limit_exceeded")), QUOTA),
    "F19 spend": (answer(429, openai(code="organization_spend_limit_exceeded")), QUOTA),
    "F19 usage": (answer(429, openai(code="organization_usage_limit_exceeded")), QUOTA),
    "F19 beside a short window": (
        answer(429, openai(code="insufficient_quota"), x_ratelimit_reset_requests="1s"),
        QUOTA,
    ),
    "F20": (answer(429, openai(code="slow_down", type="rate_limit_error")), attrs.evolve(LIMITED, code="slow_down")),
    "F21": (answer(429, anthropic("rate_limit_error"), retry_after="12"), after(LIMITED, 12.0)),
    "F21 windows": (
        answer(429, anthropic("rate_limit_error"), anthropic_ratelimit_requests_reset="2026-10-21T07:28:20Z"),
        after(LIMITED, 20.0),
    ),
    "F22": (answer(429, anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})), QUOTA),
    "F23": (answer(429, gemini(429, "RESOURCE_EXHAUSTED", "Quota.", PER_MINUTE, RETRY_INFO)), after(LIMITED, 34.0)),
    "F24": (answer(429, gemini(429, "RESOURCE_EXHAUSTED", "Quota.", PER_DAY, RETRY_INFO)), QUOTA),
    "F24 metadata": (
        answer(429, gemini(429, "RESOURCE_EXHAUSTED", "No.", {"metadata": {"quota_limit": "ProPerDay"}})),
        QUOTA,
    ),
    "F24 OpenRouter": (
        answer(
            429,
            {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-day. Add credits"}},
            x_ratelimit_reset=str(int(WALL + 7200) * 1000),
            x_ratelimit_remaining="0",
        ),
        after(QUOTA, 7200.0),
    ),
    "F25 OpenAI": (answer(500, openai(type="server_error")), FAILED),
    "F25 Anthropic": (answer(500, anthropic("api_error")), FAILED),
    "F25 Gemini": (
        answer(500, gemini(500, "INTERNAL", "The context is too long, or the context window was passed")),
        FAILED,
    ),
    "F25 window": (answer(500, openai(), x_ratelimit_reset_tokens="6m0s"), FAILED),
    "F26 502": (answer(502, PAGE), FAILED),
    "F26 504": (answer(504, PAGE), FAILED),
    "F26 520": (answer(520, PAGE), FAILED),
    "F26 522": (answer(522, b"error code: 522"), FAILED),
    "F26 524": (answer(524, b""), FAILED),
    "F27 OpenAI": (answer(503, openai(code="server_is_overloaded"), retry_after="5"), after(BUSY, 5.0)),
    "F27 Gemini": (answer(503, gemini(503, "UNAVAILABLE", "The model is overloaded.")), BUSY),
    "F27 Moonshot": (answer(429, openai(type="engine_overloaded_error")), BUSY),
    "F28": (answer(529, anthropic("overloaded_error", "Overloaded")), BUSY),
    "F29": (answer(503, b"", retry_after="20"), after(BUSY, 20.0)),
    "F30 false": (answer(503, b"", x_should_retry="false"), attrs.evolve(BUSY, retry="next")),
    "F30 true": (answer(400, openai(), x_should_retry="true"), attrs.evolve(INVALID, retry="same")),
    "F30 a spent quota stays": (answer(402, b"", x_should_retry="true"), QUOTA),
    "F31": (answer(401, b"<html><center><h1>401 Authorization Required</h1></center></html>"), AUTH),
    "F32 limit": (
        inside({"error": {"code": 429, "message": "Rate limited"}}, retry_after="3"),
        after(unknown(LIMITED), 3.0),
    ),
    "F32 money": (inside({"error": {"code": 402, "message": "No credits"}}), unknown(QUOTA)),
    "F32 key": (inside({"error": {"code": 401, "message": "No auth"}}), unknown(AUTH)),
    "F32 text": (inside({"error": {"code": "502", "message": "Provider returned error"}}), FAILED),
    "F32 overload": (inside({"error": {"code": 503, "message": "No provider"}}), unknown(BUSY)),
    "F33": (inside({"id": "1", "choices": []}), EMPTY),
    "F34": (inside({"promptFeedback": {"blockReason": "SAFETY"}}), attrs.evolve(FILTERED, billed="yes")),
    "F35": (
        inside({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}),
        attrs.evolve(EMPTY, retry="none", billed="yes", breaker="alive"),
    ),
    "F48 307": (answer(307, b"", location="http://elsewhere.example/v1"), REDIRECT),
    "F48 302": (answer(302, PAGE), REDIRECT),
    "F48 301": (answer(301), REDIRECT),
    "F49 204": (answer(204), attrs.evolve(EMPTY, breaker="failure")),
    "F49 no status at all": (
        answer(0),
        Expected(UpstreamProtocol, "next", "unknown", "failure", 502, "upstream_protocol"),
    ),
    "F85": (
        inside({"error": {"message": "No.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}),
        unknown(LIMITED),
    ),
    "F85 vLLM": (inside({"error": {"message": "No.", "type": "BadRequestError", "code": 400}}), unknown(INVALID)),
    "F85 TGI": (inside({"error": "No.", "error_type": "overloaded"}), unknown(BUSY)),
    "F85 Gemini": (inside([gemini(503, "UNAVAILABLE")]), unknown(BUSY)),
    "F85 invalid": (inside(openai()), unknown(INVALID)),
    "F87": (inside(anthropic("overloaded_error")), unknown(BUSY)),
    "F87 limit": (inside(anthropic("rate_limit_error")), unknown(LIMITED)),
    "F87 failure": (inside(anthropic("api_error")), FAILED),
    "F87 size": (inside(anthropic("request_too_large")), unknown(TOO_LARGE)),
    "F87 key": (inside(anthropic("authentication_error")), unknown(AUTH)),
    "F87 permission": (inside(anthropic("permission_error")), unknown(DENIED)),
    "F87 model": (inside(anthropic("not_found_error")), unknown(NOT_FOUND)),
    "F87 conflict": (inside(anthropic("conflict_error")), unknown(CONFLICT)),
    "F85 country": (inside(openai(code="unsupported_country_region_territory")), unknown(DENIED)),
    "F85 model": (inside(openai(code="model_not_found")), unknown(NOT_FOUND)),
    "a text to embed that is longer than llama.cpp's batch": (
        answer(
            500,
            openai("input (600 tokens) is too large to process. increase the physical batch size", type="server_error"),
        ),
        TOO_LONG,
    ),
    "F85 length": (inside(openai(code="context_length_exceeded")), unknown(TOO_LONG)),
    "F85 capacity": (inside(openai(type="service_unavailable_error")), unknown(BUSY)),
    "F85 capability": (inside(openai(type="not_supported_error")), unknown(UNSUPPORTED)),
    "F88": (inside({"error": "something broke"}), FAILED),
    "F105": (
        inside({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "No."}}}),
        FAILED,
    ),
    "F105 limit": (inside({"type": "error", "code": "rate_limit_exceeded", "message": "No."}), unknown(LIMITED)),
    "F107": (answer(404, {"error": "model 'llama3.2:3b' not found"}), NOT_FOUND),
    "F107 long": (answer(404, {"error": 'model "llama3.2:3b" not found, try pulling it first'}), NOT_FOUND),
    "F108": (
        answer(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        attrs.evolve(BUSY, retry="next", breaker="neutral"),
    ),
    "F109 llama.cpp": (
        answer(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        attrs.evolve(BUSY, breaker="neutral"),
    ),
    "F110 wait": (answer(500, {"error": "timed out waiting for llama-server to start"}), NOT_LOADED),
    "F110 memory": (
        answer(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"}),
        NOT_LOADED,
    ),
    "F111 exit": (answer(500, {"error": "llama runner process has terminated: exit status 2"}), FAILED),
    "F111 stop": (answer(500, {"error": "model runner has unexpectedly stopped"}), FAILED),
    "F111 cut": (answer(500, {"error": "unexpected EOF"}), FAILED),
    "F112": (inside({"error": "an error was encountered while running the model: unexpected EOF"}), FAILED),
    "F113": (
        inside({"done": True, "done_reason": "load", "message": {"content": ""}}),
        attrs.evolve(EMPTY, breaker="failure"),
    ),
    "F114 length": (answer(400, {"error": "the input length exceeds the context length"}), TOO_LONG),
    "F114 tools": (answer(400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}), UNSUPPORTED),
    "F114 chat": (answer(400, {"error": '"nomic-embed-text" does not support chat'}), UNSUPPORTED),
    "unsupported image": (
        answer(
            500,
            {
                "error": {
                    "code": 500,
                    "message": "image input is not supported - hint: if this is unexpected, you may "
                    "need to provide the mmproj",
                    "type": "server_error",
                }
            },
        ),
        UNSUPPORTED,
    ),
    "unsupported audio": (answer(500, openai("This model does not support audio input.", type="x")), UNSUPPORTED),
    "unsupported tools": (answer(500, openai("Unsupported param: tools", type="server_error")), UNSUPPORTED),
    "unsupported image at a router": (
        answer(404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),
        UNSUPPORTED,
    ),
    "unsupported image at Ollama": (
        answer(500, {"error": "this model is missing data required for image input"}),
        UNSUPPORTED,
    ),
    "unsupported system role": (answer(500, openai("System role not supported", type="server_error")), UNSUPPORTED),
    "unsupported embeddings": (
        answer(501, {"error": {"message": "This server does not support embeddings. Start it with `--embeddings`"}}),
        UNSUPPORTED,
    ),
    "bad grammar": (answer(500, openai("Failed to parse grammar", type="server_error")), WRONG_ELSEWHERE),
    "bad schema": (answer(500, {"error": "invalid JSON schema in format"}), WRONG_ELSEWHERE),
    "bad image": (answer(500, openai("Failed to load image or audio file", type="server_error")), WRONG_ELSEWHERE),
    "bad base64": (answer(500, {"error": "illegal base64 data at input byte 4"}), WRONG_ELSEWHERE),
    "bad roles": (
        answer(500, openai("Conversation roles must alternate user/assistant/user/assistant/...", type="server_error")),
        WRONG_ELSEWHERE,
    ),
    "F114 llama.cpp": (
        answer(501, {"error": {"code": 501, "message": "No.", "type": "not_supported_error"}}),
        UNSUPPORTED,
    ),
    "F114 not implemented": (answer(501), UNSUPPORTED),
    "F116": (
        answer(499, {"error": "request canceled"}),
        Expected(ClientGone, "none", "no", "neutral", 499, "client_gone"),
    ),
    "F118 502": (answer(502, {"error": "bad gateway"}), FAILED),
    "F118 429": (answer(429, {"error": "too many requests"}), LIMITED),
}
