"""What OpenAI, other vendors and servers of one's own say under the OpenAI API, and the errors that it becomes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from localagent.errors import InvalidRequest, RateLimited
from localagent_provider_openai.error_rules import RULES
from localagent_testing.common_answers import COMMON_ANSWERS
from localagent_testing.translated import (
    AUTH,
    BUSY,
    CONFLICT,
    DENIED,
    FAILED,
    FILTERED,
    INVALID,
    LIMITED,
    NOT_FOUND,
    NOT_LOADED,
    QUOTA,
    TIMEOUT,
    TOO_LARGE,
    TOO_LONG,
    UNSUPPORTED,
    WALL,
    WRONG_ELSEWHERE,
    Answered,
    Expected,
    after,
    answered,
    found,
    idle,
    inside,
    openai_error,
    unknown,
)


def anthropic(kind: str, message: str = "No.", **fields: Any) -> dict[str, Any]:
    """Return an error in Anthropic's shape."""
    return {"type": "error", "error": {"type": kind, "message": message, **fields}, "request_id": "req_1"}


def gemini(code: int, status: str, message: str = "No.", *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error in Gemini's shape."""
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}

PER_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
PER_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}

OWN: dict[str, tuple[Answered, Expected]] = {
    "F1 Anthropic": (answered(401, anthropic("authentication_error", "invalid x-api-key")), AUTH),
    "F1 Gemini": (
        answered(400, gemini(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})),
        AUTH,
    ),
    "F1 xAI": (answered(400, {"code": "invalid argument", "error": "Incorrect API key provided: xa***89"}), AUTH),
    "F3 Anthropic": (answered(403, anthropic("permission_error")), DENIED),
    "F3 Gemini": (
        answered(400, gemini(400, "FAILED_PRECONDITION", "User location is not supported for the API")),
        DENIED,
    ),
    "F4 Anthropic": (answered(404, anthropic("not_found_error", "model: claude-9")), NOT_FOUND),
    "F4 Gemini": (answered(404, gemini(404, "NOT_FOUND", "models/gemini-9 is not found for API version")), NOT_FOUND),
    "F4 OpenRouter": (answered(400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}), NOT_FOUND),
    "F5 Anthropic": (answered(400, anthropic("invalid_request_error", "max_tokens: Field required")), INVALID),
    "F6 vLLM": (
        answered(
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
        answered(400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        TOO_LONG,
    ),
    "F6 Anthropic, sum": (
        answered(400, anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 9 + 1")),
        TOO_LONG,
    ),
    "F6 Gemini": (
        answered(
            400, gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens")
        ),
        TOO_LONG,
    ),
    "F7 Azure": (
        answered(400, openai_error(code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"})),
        FILTERED,
    ),
    "F7 moderation": (answered(400, openai_error(code="moderation_blocked")), FILTERED),
    "F7 OpenRouter": (
        answered(403, {"error": {"code": 403, "message": "x requires moderation on y. Your input was flagged"}}),
        FILTERED,
    ),
    "F8": (
        answered(
            400, anthropic("invalid_request_error", "You have reached your specified workspace API usage limits.")
        ),
        QUOTA,
    ),
    "F8 balance": (
        answered(400, anthropic("invalid_request_error", "Your credit balance is too low to access the API.")),
        QUOTA,
    ),
    "F9 Anthropic": (answered(402, anthropic("billing_error")), QUOTA),
    "F9 OpenRouter": (answered(402, {"error": {"code": 402, "message": "This request requires more credits"}}), QUOTA),
    "F10 Gemini": (answered(504, gemini(504, "DEADLINE_EXCEEDED")), TIMEOUT),
    "F13 Mistral": (
        answered(422, {"object": "error", "message": {"detail": [{"loc": ["top_p"], "msg": "too big"}]}}),
        INVALID,
    ),
    "F14 Groq": (
        answered(413, openai_error("Request too large for model `x`", code="rate_limit_exceeded", type="tokens")),
        attrs.evolve(LIMITED, retry="next"),
    ),
    "F14 OpenAI": (
        answered(429, openai_error("Request too large for gpt-5 in org on tokens per min (TPM): Limit 1, Requested 2")),
        attrs.evolve(LIMITED, retry="next"),
    ),
    "F19 balance": (answered(429, openai_error(code="credit_balance_exhausted")), QUOTA),
    "F19 project": (answered(429, openai_error(code="project_spend_limit_exceeded")), QUOTA),
    "F19 spend": (answered(429, openai_error(code="organization_spend_limit_exceeded")), QUOTA),
    "F19 usage": (answered(429, openai_error(code="organization_usage_limit_exceeded")), QUOTA),
    "F20": (
        answered(429, openai_error(code="slow_down", type="rate_limit_error")),
        attrs.evolve(LIMITED, code="slow_down"),
    ),
    "F21": (answered(429, anthropic("rate_limit_error"), retry_after="12"), after(LIMITED, 12.0)),
    "F21 windows": (
        answered(429, anthropic("rate_limit_error"), anthropic_ratelimit_requests_reset="2026-10-21T07:28:20Z"),
        after(LIMITED, 20.0),
    ),
    "F22": (
        answered(429, anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"})),
        QUOTA,
    ),
    "F23": (answered(429, gemini(429, "RESOURCE_EXHAUSTED", "Quota.", PER_MINUTE, RETRY_INFO)), after(LIMITED, 34.0)),
    "F24": (answered(429, gemini(429, "RESOURCE_EXHAUSTED", "Quota.", PER_DAY, RETRY_INFO)), QUOTA),
    "F24 metadata": (
        answered(429, gemini(429, "RESOURCE_EXHAUSTED", "No.", {"metadata": {"quota_limit": "ProPerDay"}})),
        QUOTA,
    ),
    "F24 OpenRouter": (
        answered(
            429,
            {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-day. Add credits"}},
            x_ratelimit_reset=str(int(WALL + 7200) * 1000),
            x_ratelimit_remaining="0",
        ),
        after(QUOTA, 7200.0),
    ),
    "F25 Anthropic": (answered(500, anthropic("api_error")), FAILED),
    "F25 Gemini": (
        answered(500, gemini(500, "INTERNAL", "The context is too long, or the context window was passed")),
        FAILED,
    ),
    "F27 OpenAI": (answered(503, openai_error(code="server_is_overloaded"), retry_after="5"), after(BUSY, 5.0)),
    "F27 Gemini": (answered(503, gemini(503, "UNAVAILABLE", "The model is overloaded.")), BUSY),
    "F27 Moonshot": (answered(429, openai_error(type="engine_overloaded_error")), BUSY),
    "F28": (answered(529, anthropic("overloaded_error", "Overloaded")), BUSY),
    "F85 vLLM": (inside({"error": {"message": "No.", "type": "BadRequestError", "code": 400}}), unknown(INVALID)),
    "F85 TGI": (inside({"error": "No.", "error_type": "overloaded"}), unknown(BUSY)),
    "F85 Gemini": (inside([gemini(503, "UNAVAILABLE")]), unknown(BUSY)),
    "F87": (inside(anthropic("overloaded_error")), unknown(BUSY)),
    "F87 limit": (inside(anthropic("rate_limit_error")), unknown(LIMITED)),
    "F87 failure": (inside(anthropic("api_error")), FAILED),
    "F87 size": (inside(anthropic("request_too_large")), unknown(TOO_LARGE)),
    "F87 key": (inside(anthropic("authentication_error")), unknown(AUTH)),
    "F87 permission": (inside(anthropic("permission_error")), unknown(DENIED)),
    "F87 model": (inside(anthropic("not_found_error")), unknown(NOT_FOUND)),
    "F87 conflict": (inside(anthropic("conflict_error")), unknown(CONFLICT)),
    "F85 country": (inside(openai_error(code="unsupported_country_region_territory")), unknown(DENIED)),
    "unsupported image at a router": (
        answered(404, {"error": {"message": "No endpoints found that support image input", "code": 404}}),
        UNSUPPORTED,
    ),
    "F6 llama.cpp": (
        answered(
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
    "a text to embed that is longer than llama.cpp's batch": (
        answered(
            500,
            openai_error(
                "input (600 tokens) is too large to process. increase the physical batch size", type="server_error"
            ),
        ),
        TOO_LONG,
    ),
    "F85 capability": (inside(openai_error(type="not_supported_error")), unknown(UNSUPPORTED)),
    "F109 llama.cpp": (
        answered(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        attrs.evolve(BUSY, breaker="neutral"),
    ),
    "unsupported image": (
        answered(
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
    "unsupported embeddings": (
        answered(501, {"error": {"message": "This server does not support embeddings. Start it with `--embeddings`"}}),
        UNSUPPORTED,
    ),
    "bad grammar": (answered(500, openai_error("Failed to parse grammar", type="server_error")), WRONG_ELSEWHERE),
    "bad image": (
        answered(500, openai_error("Failed to load image or audio file", type="server_error")),
        WRONG_ELSEWHERE,
    ),
    "F114 llama.cpp": (
        answered(501, {"error": {"code": 501, "message": "No.", "type": "not_supported_error"}}),
        UNSUPPORTED,
    ),
    "F107": (answered(404, {"error": "model 'llama3.2:3b' not found"}), NOT_FOUND),
    "F107 long": (answered(404, {"error": 'model "llama3.2:3b" not found, try pulling it first'}), NOT_FOUND),
    "F108": (
        answered(503, {"error": "server busy, please try again.  maximum pending requests exceeded"}),
        attrs.evolve(BUSY, retry="next", breaker="neutral"),
    ),
    "F110 wait": (answered(500, {"error": "timed out waiting for llama-server to start"}), NOT_LOADED),
    "F110 memory": (
        answered(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"}),
        NOT_LOADED,
    ),
    "F111 exit": (answered(500, {"error": "llama runner process has terminated: exit status 2"}), FAILED),
    "F111 stop": (answered(500, {"error": "model runner has unexpectedly stopped"}), FAILED),
    "F111 cut": (answered(500, {"error": "unexpected EOF"}), FAILED),
    "F112": (inside({"error": "an error was encountered while running the model: unexpected EOF"}), FAILED),
    "F114 length": (answered(400, {"error": "the input length exceeds the context length"}), TOO_LONG),
    "F114 tools": (answered(400, {"error": "registry.ollama.ai/library/gemma:2b does not support tools"}), UNSUPPORTED),
    "F114 chat": (answered(400, {"error": '"nomic-embed-text" does not support chat'}), UNSUPPORTED),
    "unsupported image at Ollama": (
        answered(500, {"error": "this model is missing data required for image input"}),
        UNSUPPORTED,
    ),
    "bad schema": (answered(500, {"error": "invalid JSON schema in format"}), WRONG_ELSEWHERE),
    "bad base64": (answered(500, {"error": "illegal base64 data at input byte 4"}), WRONG_ELSEWHERE),
    "a key of Google's": (answered(400, gemini(400, "UNAUTHENTICATED")), AUTH),
    "a retired deployment": (answered(400, openai_error(code="DeploymentNotFound")), NOT_FOUND),
    "an operation that is not there": (answered(400, openai_error(code="unsupported_operation")), UNSUPPORTED),
    "a format at Ollama": (answered(500, {"error": "image: unknown format"}), WRONG_ELSEWHERE),
    "F85 without a status, limit": (
        inside({"error": {"message": "No.", "status": "RESOURCE_EXHAUSTED"}}),
        unknown(LIMITED),
    ),
    "F85 without a status, model": (inside({"error": {"message": "No.", "type": "NotFoundError"}}), unknown(NOT_FOUND)),
    "F85 without a status, request": (
        inside({"error": {"message": "No.", "type": "BadRequestError"}}),
        unknown(INVALID),
    ),
    "F110 load": (answered(500, {"error": "unable to load model: /blobs/sha256"}), NOT_LOADED),
    "llama.cpp's window, in words": (
        answered(400, openai_error("the request exceeds the available context size")),
        TOO_LONG,
    ),
    "F6 llama.cpp, by its type alone": (
        answered(400, openai_error("The prompt does not fit.", type="exceed_context_size_error")),
        TOO_LONG,
    ),
}
ANSWERS = {**COMMON_ANSWERS, **OWN}


@pytest.mark.parametrize("fault", ANSWERS)
def test_every_fault_becomes_its_error(fault: str) -> None:
    """What these servers say in their own way is understood, and what all servers say keeps its meaning."""
    case, expected = ANSWERS[fault]
    error = case(rules=RULES)
    assert found(error, expected) == expected
    assert str(error).isprintable()
    assert len(error.message) <= 300


def test_no_rule_can_be_missed() -> None:
    """Without any one rule, at least one answer becomes something else: each rule is needed, and each is tested."""
    assert idle(RULES, [case for case, _ in ANSWERS.values()]) == []


def test_a_missing_model_says_how_to_get_it() -> None:
    """The hint is the command, with the name that the server did not find."""
    error = answered(404, {"error": "model 'llama3.2:3b' not found"})(rules=RULES)
    assert error.hint == "Run: ollama pull llama3.2:3b."


def test_a_name_that_is_no_model_makes_no_command() -> None:
    """A server cannot put a shell command into the hint."""
    error = answered(404, {"error": "model 'x; rm -rf ~' not found"})(rules=RULES)
    assert "rm" not in (error.hint or "")


def test_a_model_that_does_not_fit_says_how_much_memory_it_needs() -> None:
    """A figure that matches a strict pattern may pass into our own sentence."""
    error = answered(500, {"error": "model requires more system memory (2.7 GiB) than is available (1.1 GiB)"})
    assert error(rules=RULES).message == "The model needs 2.7 GiB of memory, more than the server has (HTTP 500)."


def test_nobody_can_park_a_key_by_what_they_write() -> None:
    """A message that quotes a user's words is not taken for the server's own verdict."""
    quoted = "Invalid value: 'your credit balance is too low'. Incorrect API key provided: you."
    assert type(answered(400, openai_error(quoted))(rules=RULES)) is InvalidRequest


@pytest.mark.parametrize(
    "details", [None, 1, "PerDay", [1], {"violations": 3}, {"violations": [{"quotaId": ["PerDay"]}]}]
)
def test_odd_details_are_no_quota(details: object) -> None:
    """Whatever stands where the quotas' names should be, the answer is read."""
    assert type(answered(429, {"error": {"details": details}})(rules=RULES)) is RateLimited
