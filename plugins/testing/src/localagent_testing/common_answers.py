"""Answers that mean the same from any HTTP server, each with the expected error.

The ids are those of the fault table. No rule of a provider type may change the meaning of one of them.
"""

from __future__ import annotations

import attrs

from localagent.errors import ClientGone, UpstreamProtocol
from localagent_testing.translated import (
    ASK_AGAIN,
    AUTH,
    BUSY,
    CONFLICT,
    DENIED,
    EMPTY,
    FAILED,
    FILTERED,
    INVALID,
    LIMITED,
    NOT_FOUND,
    QUOTA,
    REDIRECT,
    TIMEOUT,
    TOO_LARGE,
    TOO_LONG,
    UNSUPPORTED,
    WRONG_ADDRESS,
    WRONG_ELSEWHERE,
    Answered,
    Expected,
    after,
    answered,
    inside,
    openai_error,
    unknown,
)

KEY = "sk-canary-7d1f0e9c8b2a4455"
PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></body></html>"

COMMON_ANSWERS: dict[str, tuple[Answered, Expected]] = {
    "F1 OpenAI": (answered(401, openai_error(f"Incorrect API key provided: {KEY}", code="invalid_api_key")), AUTH),
    "F2 network": (answered(401, openai_error("Your request originated from an IP that is not authorized.")), AUTH),
    "F2 member": (answered(401, openai_error("You must be a member of an organization to use the API")), AUTH),
    "F3": (answered(403, openai_error(code="unsupported_country_region_territory", type="request_forbidden")), DENIED),
    "F4": (answered(404, openai_error("The model 'gpt-9' does not exist", code="model_not_found")), NOT_FOUND),
    "F4 nothing said": (answered(404), NOT_FOUND),
    "F4 gone": (answered(410, openai_error("This model was retired")), NOT_FOUND),
    "F4 wrong address, Go": (answered(404, b"404 page not found"), WRONG_ADDRESS),
    "F4 wrong address, FastAPI": (answered(404, {"detail": "Not Found"}), WRONG_ADDRESS),
    "F4 wrong address, OpenAI": (
        answered(404, openai_error("Invalid URL (POST /chat)", code="unknown_url")),
        WRONG_ADDRESS,
    ),
    "F4 wrong address, page": (answered(404, PAGE), WRONG_ADDRESS),
    "F4 wrong method": (answered(405, {"detail": "Method Not Allowed"}), WRONG_ADDRESS),
    "F5": (answered(400, openai_error("Invalid value for 'temperature'", param="temperature")), INVALID),
    "F5 empty": (answered(400), INVALID),
    "F5 odd status": (answered(418, b"teapot"), INVALID),
    "F6": (
        answered(
            400, openai_error("This model's maximum context length is 8192 tokens", code="context_length_exceeded")
        ),
        TOO_LONG,
    ),
    "F7": (answered(400, openai_error(code="content_policy_violation")), FILTERED),
    "F9 page": (answered(402, PAGE), QUOTA),
    "a proxy without credentials": (answered(407, PAGE), WRONG_ADDRESS),
    "a misdirected request": (answered(421, b""), ASK_AGAIN),
    "too early": (answered(425, openai_error("Too early.")), ASK_AGAIN),
    "a locked resource": (answered(423, openai_error("Locked.")), CONFLICT),
    "a failed dependency": (answered(424, {"error": "Request failed during generation"}), FAILED),
    **{
        f"the form of the request, {status}": (answered(status, openai_error("No.")), WRONG_ADDRESS)
        for status in (406, 411, 412, 414, 416, 417, 426, 428, 431, 494, 495, 496, 497)
    },
    "F10": (answered(408, openai_error("Request timed out.")), TIMEOUT),
    "F11": (answered(409, openai_error(type="conflict_error")), CONFLICT),
    "F12": (answered(413, openai_error("Request exceeds the maximum size", type="request_too_large")), TOO_LARGE),
    "F12 page": (answered(413, PAGE), TOO_LARGE),
    "F13": (
        answered(422, {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "input": "x"}]}),
        INVALID,
    ),
    "F14": (
        answered(429, openai_error(code="rate_limit_exceeded", type="requests"), retry_after="1"),
        after(LIMITED, 1.0),
    ),
    "F15 minutes": (answered(429, openai_error(), x_ratelimit_reset_tokens="6m0s"), after(LIMITED, 360.0)),
    "F15 seconds": (answered(429, openai_error(), x_ratelimit_reset_tokens="1.2s"), after(LIMITED, 1.2)),
    "F15 milliseconds": (answered(429, openai_error(), x_ratelimit_reset_tokens="20ms"), after(LIMITED, 0.02)),
    "F16": (answered(429, openai_error(), retry_after_ms="350", retry_after="1"), after(LIMITED, 0.35)),
    "F17 past": (answered(429, openai_error(), retry_after="Wed, 21 Oct 2026 07:27:00 GMT"), LIMITED),
    "F17 future": (answered(429, openai_error(), retry_after="Wed, 21 Oct 2026 07:28:09 GMT"), after(LIMITED, 9.0)),
    "F18 long": (answered(429, openai_error(), retry_after="3600"), after(LIMITED, 3600.0)),
    "F18 nan": (answered(429, openai_error(), retry_after="nan"), LIMITED),
    "F18 negative": (answered(429, openai_error(), retry_after="-1"), LIMITED),
    "F18 huge": (answered(429, openai_error(), retry_after="1e309"), LIMITED),
    "F18 empty": (answered(429, openai_error(), retry_after=""), LIMITED),
    "F18 text": (answered(429, openai_error(), retry_after="later"), LIMITED),
    "F19": (answered(429, openai_error(type="insufficient_quota", code="insufficient_quota")), QUOTA),
    "F19 beside a short window": (
        answered(429, openai_error(code="insufficient_quota"), x_ratelimit_reset_requests="1s"),
        QUOTA,
    ),
    "F25 OpenAI": (answered(500, openai_error(type="server_error")), FAILED),
    "F25 window": (answered(500, openai_error(), x_ratelimit_reset_tokens="6m0s"), FAILED),
    "F26 502": (answered(502, PAGE), FAILED),
    "F26 504": (answered(504, PAGE), FAILED),
    "F26 520": (answered(520, PAGE), FAILED),
    "F26 522": (answered(522, b"error code: 522"), FAILED),
    "F26 524": (answered(524, b""), FAILED),
    "F29": (answered(503, b"", retry_after="20"), after(BUSY, 20.0)),
    "F30 false": (answered(503, b"", x_should_retry="false"), attrs.evolve(BUSY, retry="next")),
    "F30 true": (answered(400, openai_error(), x_should_retry="true"), attrs.evolve(INVALID, retry="same")),
    "F30 a spent quota stays": (answered(402, b"", x_should_retry="true"), QUOTA),
    "F31": (answered(401, b"<html><center><h1>401 Authorization Required</h1></center></html>"), AUTH),
    "F32 limit": (
        inside({"error": {"code": 429, "message": "Rate limited"}}, retry_after="3"),
        after(unknown(LIMITED), 3.0),
    ),
    "F32 money": (inside({"error": {"code": 402, "message": "No credits"}}), unknown(QUOTA)),
    "F32 key": (inside({"error": {"code": 401, "message": "No auth"}}), unknown(AUTH)),
    "F32 text": (inside({"error": {"code": "502", "message": "Provider returned error"}}), FAILED),
    "F32 overload": (inside({"error": {"code": 503, "message": "No provider"}}), unknown(BUSY)),
    "F48 307": (answered(307, b"", location="http://elsewhere.example/v1"), REDIRECT),
    "F48 302": (answered(302, PAGE), REDIRECT),
    "F48 301": (answered(301), REDIRECT),
    "F49 204": (answered(204), attrs.evolve(EMPTY, breaker="failure")),
    "F49 no status at all": (
        answered(0),
        Expected(UpstreamProtocol, "next", "unknown", "failure", 502, "upstream_protocol"),
    ),
    "F85": (
        inside({"error": {"message": "No.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}),
        unknown(LIMITED),
    ),
    "F85 invalid": (inside(openai_error()), unknown(INVALID)),
    "F85 model": (inside(openai_error(code="model_not_found")), unknown(NOT_FOUND)),
    "F85 length": (inside(openai_error(code="context_length_exceeded")), unknown(TOO_LONG)),
    "F85 capacity": (inside(openai_error(type="service_unavailable_error")), unknown(BUSY)),
    "F88": (inside({"error": "something broke"}), FAILED),
    "F105 limit": (inside({"type": "error", "code": "rate_limit_exceeded", "message": "No."}), unknown(LIMITED)),
    "unsupported audio": (
        answered(500, openai_error("This model does not support audio input.", type="x")),
        UNSUPPORTED,
    ),
    "unsupported tools": (answered(500, openai_error("Unsupported param: tools", type="server_error")), UNSUPPORTED),
    "unsupported system role": (
        answered(500, openai_error("System role not supported", type="server_error")),
        UNSUPPORTED,
    ),
    "bad roles": (
        answered(
            500,
            openai_error("Conversation roles must alternate user/assistant/user/assistant/...", type="server_error"),
        ),
        WRONG_ELSEWHERE,
    ),
    "F114 not implemented": (answered(501), UNSUPPORTED),
    "F116": (
        answered(499, {"error": "request canceled"}),
        Expected(ClientGone, "none", "no", "neutral", 499, "client_gone"),
    ),
    "F118 502": (answered(502, {"error": "bad gateway"}), FAILED),
    "F118 429": (answered(429, {"error": "too many requests"}), LIMITED),
    "F6 in words": (inside({"error": "This model's maximum context length is 8192 tokens"}), unknown(TOO_LONG)),
    "F25 overloaded": (answered(500, openai_error(type="overloaded_error")), BUSY),
    "F85 timeout": (inside({"error": {"message": "No.", "type": "timeout"}}), TIMEOUT),
    "F85 permission": (inside({"error": {"message": "No.", "type": "permission_error"}}), unknown(DENIED)),
    "F85 size": (inside({"error": {"message": "No.", "type": "request_too_large"}}), unknown(TOO_LARGE)),
    "F85 not found": (inside({"error": {"message": "No.", "type": "not_found_error"}}), unknown(NOT_FOUND)),
    "F85 conflict": (inside({"error": {"message": "No.", "type": "conflict_error"}}), unknown(CONFLICT)),
    "F85 key": (inside({"error": {"message": "No.", "type": "authentication_error"}}), unknown(AUTH)),
    "a wrong key in words": (answered(400, {"error": "Incorrect API key provided: xa***89"}), AUTH),
    "a list of one error": (inside([{"error": {"message": "No.", "code": 503}}]), unknown(BUSY)),
}
